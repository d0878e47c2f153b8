import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { type InClusterProps, inClusterTarget } from './in-cluster.ts';
import { KubeError } from './kube-error.ts';

/** Where the API server is and how to enter it. */
export interface KubeTarget {
  /** Base URL; its path, if any, goes before every API path. */
  readonly server: URL;
  /** Namespace of the kubeconfig's context, or of the pod. */
  readonly namespace: string | undefined;
  /** TLS material and headers for the next request: tokens rotate, so ask each time. */
  authorize(): Promise<KubeCredentials>;
}

export interface KubeCredentials {
  readonly tls: Readonly<Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'rejectUnauthorized' | 'servername'>>;
  readonly headers: Readonly<Record<string, string>>;
  /** Set when the kubeconfig names a proxy: the generated client knows how to go through it. */
  readonly proxyAgent: RequestOptions['agent'] | undefined;
}

export type KubeConfigSource =
  /** A kubeconfig file. */
  | { readonly kind: 'file'; readonly path: string }
  /** The content of one. */
  | { readonly kind: 'content'; readonly yaml: string }
  /** The service account that Kubernetes mounts into a pod. */
  | ({ readonly kind: 'inCluster' } & InClusterProps);

type KubeConfigFile = Exclude<KubeConfigSource, { readonly kind: 'inCluster' }>;

/** @throws {KubeError} `invalid` when there is no usable cluster in the source, `unavailable` when a file is not there. */
export async function loadKubeTarget(source: KubeConfigSource): Promise<KubeTarget> {
  if (source.kind === 'inCluster') return inClusterTarget(source);
  // Loaded when it is needed: it takes 88 MB.
  const generated = await import('@kubernetes/client-node');
  const config = new generated.KubeConfig();
  try {
    load(config, source);
  } catch (cause) {
    throw new KubeError({ code: 'invalid', httpStatus: 0, message: 'the kubeconfig cannot be read', cause });
  }
  const server = config.getCurrentCluster()?.server;
  if (server === undefined || !URL.canParse(server)) throw new KubeError({ code: 'invalid', httpStatus: 0, message: 'the kubeconfig names no cluster' });
  const proxied = config.getCurrentCluster()?.proxyUrl !== undefined;
  return {
    server: new URL(server),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    authorize: () => authorize(config, proxied),
  };
}

function load(config: KubeConfig, source: KubeConfigFile): void {
  switch (source.kind) {
    case 'file':
      config.loadFromFile(source.path);
      break;
    case 'content':
      config.loadFromString(source.yaml);
      break;
  }
}

async function authorize(config: KubeConfig, proxied: boolean): Promise<KubeCredentials> {
  const options: RequestOptions = { headers: {} };
  try {
    await config.applyToHTTPSOptions(options);
  } catch (cause) {
    // An exec plugin that fails, a token file that is not there yet: tried again with the next request.
    throw new KubeError({ code: 'unavailable', httpStatus: 0, message: 'no credentials for the API server', cause });
  }
  const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
  const tls = Object.fromEntries(Object.entries({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }).filter(([, value]) => value !== undefined));
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) if (typeof value === 'string') headers[name] = value;
  if (typeof options.auth === 'string') headers.Authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  return { tls, headers, proxyAgent: proxied ? options.agent : undefined };
}
