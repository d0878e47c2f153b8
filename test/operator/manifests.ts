import type { Manifest } from '@skiff/kube/kube-client';

export const API_VERSION = 'skiff.dev/v1alpha1';
export const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEthcl1iOBiiozvLb0pf1mbZ/5dFy3Y0mH7dyYRxR7yG';

/** That of bob in the quickstart. */
export const HASH = '$argon2id$v=19$m=19456,t=2,p=1$4YyGf+0lXdue5IQ3FDZF+Q$DE+Qr6mAQFmxvtEs4Llvzm/yZo7Hd0IYuy4JZRkM9ag';

export interface NamedManifest extends Manifest {
  readonly metadata: { readonly name: string; readonly namespace: string };
}

/** `spec` is laid over that of a plain endpoint. */
export function endpointManifest(namespace: string, name: string, spec: object = {}): NamedManifest {
  const storage = { azureBlob: { account: 'contoso', container: 'files' } };
  return { apiVersion: API_VERSION, kind: 'SftpEndpoint', metadata: { namespace, name }, spec: { storage, ...spec } };
}

/** Of the endpoint `main` beside it, unless `spec` says otherwise. */
export function userManifest(namespace: string, name: string, spec: object = {}): NamedManifest {
  const plain = { endpointRef: { name: 'main' }, username: name, authorizedKeys: [{ name: 'laptop', publicKey: KEY }] };
  return { apiVersion: API_VERSION, kind: 'SftpUser', metadata: { namespace, name }, spec: { ...plain, ...spec } };
}

export function routeManifest(namespace: string, name: string, spec: object = {}): NamedManifest {
  const targets = [{ name: 'http', http: { url: 'https://app.example/files' } }];
  return { apiVersion: API_VERSION, kind: 'EventRoute', metadata: { namespace, name }, spec: { endpointRef: { name: 'main' }, targets, ...spec } };
}

export function secretManifest(namespace: string, name: string, stringData: Readonly<Record<string, string>>): NamedManifest {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, type: 'Opaque', stringData };
}
