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
  /** Certificate authorities, PEM, that pods trust beyond those of the program: for the database alone, and for everything. */
  readonly certificates: { readonly database: string | undefined; readonly trusted: string | undefined };
  /** Further variables of every pod, such as a proxy. Not for secrets: everybody who may read Deployments sees them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Group of mounted volumes; undefined where the platform chooses (OpenShift). */
  readonly fsGroup: number | undefined;
}

/** How pods come by the address of the database. */
export type PodDatabase =
  /** Without a password: the pods' identity is their proof. */
  | { readonly kind: 'url'; readonly url: string }
  /** In a Secret beside the endpoint. `revision` changes with its content, so that pods are replaced. */
  | { readonly kind: 'secret'; readonly revision: string };
