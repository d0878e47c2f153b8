import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeCredentials, KubeTarget } from './kube-config.ts';
import { KubeError } from './kube-error.ts';

export interface InClusterProps {
  /** `KUBERNETES_SERVICE_HOST`. */
  readonly host: string;
  /** `KUBERNETES_SERVICE_PORT`. */
  readonly port: string;
  /** Where the service account is mounted. Default `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly directory?: string;
}

const DEFAULT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews a token at 80 % of its hour: a minute late does not matter. */
const REREAD_MS = 60_000;

/**
 * A pod's own way to the API server: two files. The generated client could read them too, at the price of 88 MB of memory,
 * a third of what an operator may use.
 */
export async function inClusterTarget(props: InClusterProps): Promise<KubeTarget> {
  const directory = props.directory ?? DEFAULT_DIRECTORY;
  const host = props.host.includes(':') ? `[${props.host}]` : props.host;
  const url = `https://${host}:${props.port}`;
  if (!URL.canParse(url)) throw new KubeError({ code: 'invalid', httpStatus: 0, message: 'this is no pod of a cluster' });
  let read: { readonly credentials: KubeCredentials; readonly atMs: number } | undefined;
  const authorize = async () => {
    if (read !== undefined && performance.now() - read.atMs < REREAD_MS) return read.credentials;
    read = { credentials: await readCredentials(directory), atMs: performance.now() };
    return read.credentials;
  };
  await authorize();
  return { server: new URL(url), namespace: (await readText(join(directory, 'namespace'))).trim(), authorize };
}

async function readCredentials(directory: string): Promise<KubeCredentials> {
  const [ca, token] = await Promise.all([readText(join(directory, 'ca.crt')), readText(join(directory, 'token'))]);
  return { tls: { ca }, headers: { Authorization: `Bearer ${token.trim()}` }, proxyAgent: undefined };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new KubeError({ code: 'unavailable', httpStatus: 0, message: 'no credentials for the API server', cause });
  }
}
