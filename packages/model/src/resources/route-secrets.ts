import type { RouteTarget } from './route-target.ts';
import type { SecretKeyRef } from './target-parts.ts';

export type { SecretKeyRef };

/** A target as the row of its route carries it. */
export type RoutedTarget = RouteTarget & {
  /** Fingerprint of each secret that the target names, by {@link secretRefKey}. The router waits until what it has been given matches. */
  readonly secretFingerprints?: Readonly<Record<string, string>>;
};

/** Every key of a Secret that a target needs; all lie in the route's namespace. */
export function secretRefsOf({ http, amqp, mqtt }: RouteTarget): readonly SecretKeyRef[] {
  const { bearer, basic, oauth2 } = http?.authentication ?? {};
  const refs = [
    bearer?.tokenSecretRef,
    basic?.passwordSecretRef,
    oauth2?.clientSecretSecretRef,
    http?.signing?.secretRef,
    http?.signing?.previousSecretRef,
    amqp?.authentication?.passwordSecretRef,
    mqtt?.authentication?.passwordSecretRef,
    ...[http, amqp, mqtt].flatMap((kind) => tlsRefs(kind?.tls)),
  ];
  return refs.filter((ref) => ref !== undefined);
}

function tlsRefs(tls: NonNullable<RouteTarget['http']>['tls']): readonly (SecretKeyRef | undefined)[] {
  const certificate = tls?.clientCertificateSecretRef;
  return [tls?.caSecretRef, ...(certificate === undefined ? [] : clientCertificateRefs(certificate.name))];
}

/** The certificate and its private key in a Secret of type `kubernetes.io/tls`. */
export function clientCertificateRefs(name: string): readonly [SecretKeyRef, SecretKeyRef] {
  return [
    { name, key: 'tls.crt' },
    { name, key: 'tls.key' },
  ];
}

/** Names a key of a Secret within one namespace: neither names nor keys hold a slash. */
export function secretRefKey({ name, key }: SecretKeyRef): string {
  return `${name}/${key}`;
}

/**
 * Key under which a secret stands in the Secret that is gathered for an endpoint's routers, and so the name of its file. Names and
 * namespaces of Kubernetes hold no underscore, so no two references give the same one.
 */
export function gatheredSecretKey(namespace: string, { name, key }: SecretKeyRef): string {
  return `${namespace}_${name}_${key}`;
}
