import { join } from 'node:path';
import { output } from './kubectl.ts';

const SCRIPTS = join(import.meta.dirname, '../../cluster');
/** With an empty cache ten Go programs are built first. */
const UP_TIMEOUT_MS = 35 * 60_000;
const DOWN_TIMEOUT_MS = 120_000;

export interface Cluster {
  /** Environment that leads kubectl and helm to it. */
  readonly env: NodeJS.ProcessEnv;
  /** Somebody else's: what was made in it is to be removed. */
  readonly given: boolean;
  /** Of its service account tokens. */
  readonly issuer: string;
  /** Ends it, unless it was there before or is to be kept. */
  stop(): Promise<void>;
}

export interface ClusterProps {
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

/** The cluster of `SKIFF_E2E_KUBECONFIG`, or a node of this machine that ends with this process, however it ends. */
export async function startCluster({ keep, signal }: ClusterProps): Promise<Cluster> {
  const given = process.env.SKIFF_E2E_KUBECONFIG;
  if (given !== undefined && given !== '') {
    const env = { ...process.env, KUBECONFIG: given };
    return { env, given: true, issuer: await issuerOf(env, signal), stop: () => Promise.resolve() };
  }
  const owner = keep ? {} : { SKIFF_CLUSTER_OWNER_PID: String(process.pid) };
  const up = { command: join(SCRIPTS, 'kube-up.sh'), args: ['node'], env: { ...process.env, ...owner }, timeoutMs: UP_TIMEOUT_MS };
  const [, kubeconfig = '', path = ''] = /^export KUBECONFIG=(\S+) PATH=([^:]+):/m.exec(await output(up, signal)) ?? [];
  if (kubeconfig === '') throw new Error('kube-up.sh did not say where the cluster is');
  const env = { ...process.env, KUBECONFIG: kubeconfig, PATH: `${path}:${process.env.PATH ?? ''}` };
  const stop = async (): Promise<void> => {
    if (!keep) await output({ command: join(SCRIPTS, 'kube-down.sh'), args: [], timeoutMs: DOWN_TIMEOUT_MS });
  };
  try {
    return { env, given: false, issuer: await issuerOf(env, signal), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function issuerOf(env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string> {
  const discovery: unknown = JSON.parse(await output({ command: 'kubectl', args: ['get', '--raw', '/.well-known/openid-configuration'], env }, signal));
  if (typeof discovery !== 'object' || discovery === null || !('issuer' in discovery)) throw new Error('the cluster names no issuer of its tokens');
  return String(discovery.issuer);
}
