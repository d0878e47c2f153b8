import { type Authorization, basicAuthorization, bearerAuthorization, workloadIdentityAuthorization } from '@skiff/messaging/authorization';
import type { DeliveryTarget } from '@skiff/messaging/delivery-target';
import { createHttpTarget } from '@skiff/messaging/http-target';
import { createOAuth2Authorization } from '@skiff/messaging/oauth2-authorization';
import type { TlsMaterial } from '@skiff/messaging/tls-material';
import { createWebhookSigner } from '@skiff/messaging/webhook-signature';
import type { RouteTarget } from '@skiff/model/event-route';
import { clientCertificateRefs } from '@skiff/model/route-secrets';
import { deliveryPolicyOf } from './delivery-policy.ts';
import type { TargetSecrets } from './secret-bound-target.ts';
import { type TargetFactoryOptions, UnusableTargetError } from './target-factory-options.ts';

type HttpSpec = NonNullable<RouteTarget['http']>;

/** Each file under way holds two pieces of 1 MiB, and what sockets buffer. */
const MAX_FILES_AT_A_TIME = 4;

export function makeHttpTarget(target: RouteTarget, http: HttpSpec, secrets: TargetSecrets, options: TargetFactoryOptions): DeliveryTarget {
  const { addresses, userAgent, concurrency, openFile } = options;
  const sendsFile = http.body === 'file';
  if (sendsFile && openFile === undefined) throw new UnusableTargetError(target.name, 'this router cannot read files');
  const authorization = authorizationOf(target, http, secrets, options);
  return createHttpTarget({
    url: http.url,
    format: http.format ?? 'Structured',
    headers: http.headers ?? [],
    timeoutMs: deliveryPolicyOf(target).timeoutMs,
    addresses,
    userAgent,
    maxConnections: sendsFile ? Math.min(concurrency, MAX_FILES_AT_A_TIME) : concurrency,
    tls: tlsOf(http.tls, secrets, options),
    ...(authorization === undefined ? {} : { authorization }),
    ...(http.signing === undefined ? {} : { signer: signerOf(http.signing, secrets) }),
    ...(sendsFile && openFile !== undefined ? { openFile } : {}),
  });
}

export function tlsOf(tls: HttpSpec['tls'], secrets: TargetSecrets, options: TargetFactoryOptions): TlsMaterial {
  const ca = tls?.caSecretRef === undefined ? options.ca : secrets(tls.caSecretRef).reveal();
  if (tls?.clientCertificateSecretRef === undefined) return ca === undefined ? {} : { ca };
  const [cert, key] = clientCertificateRefs(tls.clientCertificateSecretRef.name).map((ref) => secrets(ref).reveal());
  return { ...(ca === undefined ? {} : { ca }), ...(cert === undefined || key === undefined ? {} : { cert, key }) };
}

function signerOf({ secretRef, previousSecretRef }: NonNullable<HttpSpec['signing']>, secrets: TargetSecrets) {
  return createWebhookSigner([secrets(secretRef), ...(previousSecretRef === undefined ? [] : [secrets(previousSecretRef)])]);
}

function authorizationOf(target: RouteTarget, { authentication }: HttpSpec, secrets: TargetSecrets, options: TargetFactoryOptions): Authorization | undefined {
  const { bearer, basic, oauth2, workloadIdentity } = authentication ?? {};
  if (bearer !== undefined) return bearerAuthorization(secrets(bearer.tokenSecretRef));
  if (basic !== undefined) return basicAuthorization(basic.username, secrets(basic.passwordSecretRef));
  if (oauth2 !== undefined) {
    const { tokenUrl, clientId, clientSecretSecretRef, scope } = oauth2;
    return createOAuth2Authorization({
      tokenUrl,
      clientId,
      clientSecret: secrets(clientSecretSecretRef),
      addresses: options.addresses,
      ...(scope === undefined ? {} : { scope }),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
  }
  if (workloadIdentity === undefined) return undefined;
  if (options.azure === undefined) throw new UnusableTargetError(target.name, 'this router has no identity');
  return workloadIdentityAuthorization(options.azure, workloadIdentity.scope);
}
