/** What an installation says of all its pods; the operator reads it from its environment. */
export interface WorkloadContext {
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Secrets of the endpoint's namespace. */
  readonly imagePullSecrets: readonly string[];
  readonly logLevel: string;
  readonly database: PodDatabase;
  /** Of endpoints that name no identity. */
  readonly identity: { readonly clientId: string | undefined; readonly tenantId: string | undefined };
  /** Token service, where it is not that of the public cloud. */
  readonly authorityHost: string | undefined;
  /** ConfigMap of the endpoint's namespace whose `ca.crt` holds further certificate authorities (PEM), as trust-manager writes it. */
  readonly trustConfigMap: string | undefined;
  /** Further variables of every pod, such as a proxy. Not for secrets: everybody who may read Deployments sees them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Group of mounted volumes; undefined where the platform chooses (OpenShift). */
  readonly fsGroup: number | undefined;
}

/** How pods come by the address of the database. */
export type PodDatabase =
  /** Without a password: the pods' identity is their proof. */
  | { readonly kind: 'url'; readonly url: string }
  /** Key of a Secret in the endpoint's namespace that holds the whole URL. */
  | { readonly kind: 'secret'; readonly name: string; readonly key: string };
