import { selfCheck } from '@skiff/sftp-protocol/self-check';
import { mountedEventBusSecrets } from '../composition/event-bus.ts';
import { followMounts, readHostKeys } from '../composition/mounted-endpoint.ts';
import { startSftpServer } from '../composition/server-parts.ts';
import type { ModeContext } from './mode.ts';
import { serveEndpoint } from './serve-endpoint.ts';

/** `skiff sftp-server`: one endpoint's SFTP server, from the settings and host keys that the operator has mounted. */
export async function runSftpServer(context: ModeContext): Promise<number> {
  const { environment } = context;
  await selfCheck();
  const hostKeys = readHostKeys(environment);
  return serveEndpoint(context, 'sftp-server', async ({ parts, settings, endpointId, lease, health, logger }) => {
    const eventBusSecrets = mountedEventBusSecrets(environment);
    const running = await startSftpServer(parts, { settings, endpointId, lease, hostKeys, eventBusSecrets, logger });
    health.watch({ sessions: () => running.server.sessionCount, outbox: running.outbox });
    const mounts = followMounts({ environment, server: running.server, settings, hostKeys, logger });
    return {
      async stop() {
        await mounts.stop();
        await running.stop();
      },
    };
  });
}
