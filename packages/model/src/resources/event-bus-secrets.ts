import type { SftpEndpointSpec } from './sftp-endpoint.ts';
import type { SecretKeyRef } from './target-parts.ts';

/** What an event bus may need that is secret, or lies in a Secret: the name of its file in a pod. */
export type EventBusSecret = 'password' | 'ca';

/** The keys of Secrets that an endpoint's event bus needs, by what they are for; all lie in the endpoint's namespace. */
export function eventBusSecretsOf({ events }: Pick<SftpEndpointSpec, 'events'>): Readonly<Partial<Record<EventBusSecret, SecretKeyRef>>> {
  const { authentication, tls } = events?.amqp ?? {};
  return {
    ...(authentication === undefined ? {} : { password: authentication.passwordSecretRef }),
    ...(tls === undefined ? {} : { ca: tls.caSecretRef }),
  };
}
