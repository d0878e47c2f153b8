import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { selfCheck } from '@skiff/sftp-protocol/self-check';
import { mountedEventBusSecrets } from '../composition/event-bus.ts';
import { followMounts, readHostKeys, readSettings } from '../composition/mounted-endpoint.ts';
import { startProcessHealth } from '../composition/process-health.ts';
import { createProcessParts, keepLease } from '../composition/process-parts.ts';
import { startSftpServer } from '../composition/server-parts.ts';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from './mode.ts';
import { untilSignalled } from './run-until-signal.ts';
import { waitForSchema } from './wait-for-database.ts';

/** `skiff sftp-server`: one endpoint's SFTP server, from the settings and host keys that the operator has mounted. */
export async function runSftpServer(context: ModeContext): Promise<number> {
  const { configuration, environment, logger } = context;
  await selfCheck();
  const { databaseUrl } = configuration;
  if (databaseUrl === undefined) throw new ConfigurationError('SKIFF_DATABASE_URL is missing: mysql://user:password@host:3306/skiff');
  const settings = readSettings(environment);
  const hostKeys = readHostKeys(environment);
  const parts = createProcessParts(configuration, logger, databaseUrl);
  const stop = new AbortController();
  const signalled = untilSignalled(logger).then(() => stop.abort());
  const health = await startProcessHealth(parts);
  try {
    await waitForSchema(parts, stop.signal);
    const lease = await keepLease(parts, 'sftp-server');
    const endpointId = await createResourceRepository(parts.database).endpointId(settings.namespace, settings.name);
    const endpointLogger = logger.child({ endpoint: `${settings.namespace}/${settings.name}` });
    const eventBusSecrets = mountedEventBusSecrets(environment);
    const running = await startSftpServer(parts, { settings, endpointId, lease: lease.lease, hostKeys, eventBusSecrets, logger: endpointLogger });
    health.watch({ sessions: () => running.server.sessionCount, outbox: running.outbox });
    const mounts = followMounts({ environment, server: running.server, settings, hostKeys, logger: endpointLogger });
    health.ready();
    await signalled;
    health.drain();
    await mounts.stop();
    await running.stop();
    await lease.release();
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    await health.stop();
    await parts.database.close();
  }
  return 0;
}
