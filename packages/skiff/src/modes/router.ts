import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { createDirectorySecretReader } from '@skiff/router/secret-reader';
import { mountedEventBusSecrets } from '../composition/event-bus.ts';
import { readSettings } from '../composition/mounted-endpoint.ts';
import { startProcessHealth } from '../composition/process-health.ts';
import { createProcessParts, keepLease } from '../composition/process-parts.ts';
import { startRouter } from '../composition/router-parts.ts';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from './mode.ts';
import { untilSignalled } from './run-until-signal.ts';
import { waitForSchema } from './wait-for-database.ts';

/** `skiff router`: carries one endpoint's events from its queue to the targets of its routes. */
export async function runRouter({ configuration, environment, logger }: ModeContext): Promise<number> {
  const { databaseUrl } = configuration;
  if (databaseUrl === undefined) throw new ConfigurationError('SKIFF_DATABASE_URL is missing: mysql://user:password@host:3306/skiff');
  const settings = readSettings(environment);
  const parts = createProcessParts(configuration, logger, databaseUrl);
  const stop = new AbortController();
  const signalled = untilSignalled(logger).then(() => stop.abort());
  const health = await startProcessHealth(parts);
  try {
    await waitForSchema(parts, stop.signal);
    const lease = await keepLease(parts, 'router');
    const endpointId = await createResourceRepository(parts.database).endpointId(settings.namespace, settings.name);
    const secretsDirectory = environment.text('SKIFF_ROUTE_SECRETS_DIR');
    const router = await startRouter(parts, {
      secrets: secretsDirectory === undefined ? undefined : createDirectorySecretReader(secretsDirectory),
      eventBusSecrets: mountedEventBusSecrets(environment),
      settings,
      endpointId,
      lease: lease.lease,
      logger: logger.child({ endpoint: `${settings.namespace}/${settings.name}` }),
    });
    if (router === undefined) throw new ConfigurationError('the endpoint has no events: there is nothing to route');
    health.ready();
    await signalled;
    health.drain();
    await router.stop();
    await lease.release();
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    await health.stop();
    await parts.database.close();
  }
  return 0;
}
