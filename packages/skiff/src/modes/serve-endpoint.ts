import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { Logger } from '@skiff/runtime/logger';
import type { Lease } from '@skiff/sftp-server/lease';
import { readSettings } from '../composition/mounted-endpoint.ts';
import { type ProcessHealth, startProcessHealth } from '../composition/process-health.ts';
import { createProcessParts, keepProcessLease, type ProcessParts } from '../composition/process-parts.ts';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from './mode.ts';
import { untilSignalled } from './run-until-signal.ts';
import { stopAll } from './stop-all.ts';
import { waitForSchema } from './wait-for-database.ts';

/** What one endpoint's server or router is started with. */
export interface EndpointProcess {
  readonly parts: ProcessParts;
  readonly settings: EndpointSettings;
  readonly endpointId: number;
  readonly lease: Lease;
  readonly health: ProcessHealth;
  /** Names the endpoint. */
  readonly logger: Logger;
}

/**
 * The life of a process of one endpoint, whose settings the operator has mounted: it waits for its database, takes its lease, serves until
 * it is told to stop, and drains. Returns the exit code.
 */
export async function serveEndpoint(
  { configuration, environment, logger }: ModeContext,
  mode: 'sftp-server' | 'router',
  start: (process: EndpointProcess) => Promise<{ stop(): Promise<void> }>,
): Promise<number> {
  const { databaseUrl } = configuration;
  if (databaseUrl === undefined) throw new ConfigurationError('SKIFF_DATABASE_URL is missing: mysql://user:password@host:3306/skiff');
  const settings = readSettings(environment);
  const parts = createProcessParts(configuration, logger, databaseUrl);
  const stop = new AbortController();
  const signalled = untilSignalled(logger).then(() => stop.abort());
  const health = await startProcessHealth(parts);
  try {
    await waitForSchema(parts, stop.signal);
    const { lease, release } = await keepProcessLease(parts, mode);
    const endpointId = await createResourceRepository(parts.database).endpointId(settings.namespace, settings.name);
    const endpointLogger = logger.child({ endpoint: `${settings.namespace}/${settings.name}` });
    const running = await start({ parts, settings, endpointId, lease, health, logger: endpointLogger });
    health.ready();
    await signalled;
    health.drain();
    await stopAll(endpointLogger, [() => running.stop(), release]);
  } catch (error) {
    // Told to stop before it could start: it was waiting for its database, and has nothing to drain.
    if (!stop.signal.aborted) throw error;
  } finally {
    await health.stop();
    await parts.database.close();
  }
  return 0;
}
