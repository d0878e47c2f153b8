import { createDirectorySecretReader } from '@skiff/router/secret-reader';
import { mountedEventBusSecrets } from '../composition/event-bus.ts';
import { startRouter } from '../composition/router-parts.ts';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from './mode.ts';
import { serveEndpoint } from './serve-endpoint.ts';

/** `skiff router`: carries one endpoint's events from its queue to the targets of its routes. */
export function runRouter(context: ModeContext): Promise<number> {
  const { environment } = context;
  return serveEndpoint(context, 'router', async ({ parts, settings, endpointId, lease, logger }) => {
    const secretsDirectory = environment.text('SKIFF_ROUTE_SECRETS_DIR');
    const router = await startRouter(parts, {
      secrets: secretsDirectory === undefined ? undefined : createDirectorySecretReader(secretsDirectory),
      eventBusSecrets: mountedEventBusSecrets(environment),
      settings,
      endpointId,
      lease,
      logger,
    });
    if (router === undefined) throw new ConfigurationError('the endpoint has no events: there is nothing to route');
    return router;
  });
}
