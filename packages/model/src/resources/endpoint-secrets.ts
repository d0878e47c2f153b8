import { eventBusSecretsOf } from './event-bus-secrets.ts';
import type { SftpEndpointSpec } from './sftp-endpoint.ts';

/** Names of the Secrets of its own namespace that an endpoint refers to. */
export function endpointSecretsOf(spec: SftpEndpointSpec): readonly string[] {
  const ofKeys = (spec.hostKeys ?? []).flatMap(({ secretRef }) => (secretRef === undefined ? [] : [secretRef.name]));
  return [...ofKeys, ...Object.values(eventBusSecretsOf(spec)).map(({ name }) => name)];
}
