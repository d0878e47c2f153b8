import { eventBusSecretsOf } from '@skiff/model/event-bus-secrets';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { Obstacle } from './complete-conditions.ts';
import { type RouteSecrets, secretObstacle } from './route-secrets.ts';

/**
 * Why the event bus of an endpoint cannot be entered, as far as its Secrets tell; undefined: they are all there. The endpoint runs all the
 * same: its files are stored, and their events wait.
 */
export function eventBusObstacle({ metadata, spec }: Pick<SftpEndpoint, 'metadata' | 'spec'>, secrets: RouteSecrets): Obstacle | undefined {
  const { namespace } = metadata;
  for (const [use, ref] of Object.entries(eventBusSecretsOf(spec))) {
    const found = secrets.lookUp(namespace, ref.name, ref.key);
    const missing = { who: 'events.amqp', namespace, ref, until: 'events wait until then' };
    if (found.kind !== 'found') return secretObstacle(found, missing);
    const wrong = problemOf(use, found.value.reveal());
    if (wrong !== undefined) {
      const message = `events.amqp: Secret ${namespace}/${ref.name}, key ${ref.key}, ${wrong}; events wait until it is put right`;
      return { reason: 'SecretInvalid', message };
    }
  }
  return undefined;
}

function problemOf(use: string, value: string): string | undefined {
  if (value.trim() === '') return 'is empty';
  return use === 'ca' && !value.includes('-----BEGIN CERTIFICATE-----') ? 'holds no certificate in PEM' : undefined;
}
