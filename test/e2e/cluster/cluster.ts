import { join } from 'node:path';
import { clusterCache } from '../../cluster/cluster-cache.ts';
import { CommandError, output } from './kubectl.ts';

const SCRIPTS = join(import.meta.dirname, '../../cluster');
/** With an empty cache ten Go programs are built first. */
const UP_TIMEOUT_MS = 35 * 60_000;
/** It may install Debian packages. */
const PREFLIGHT_TIMEOUT_MS = 5 * 60_000;
/** Exit code of `kube-up.sh preflight`. */
const UNFIT = 69;
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

/** The machine is not one that can run a node; nothing is broken. */
export class UnfitMachineError extends Error {
  readonly code = 'UnfitMachine';
  constructor(message: string) {
    super(message);
    this.name = 'UnfitMachineError';
  }
}

export interface ClusterProps {
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

/**
 * The cluster of `SKIFF_E2E_KUBECONFIG`, or a node of this machine that ends with this process, however it ends.
 * @throws {UnfitMachineError} before anything is built.
 */
export async function startCluster({ keep, signal }: ClusterProps): Promise<Cluster> {
  const given = process.env.SKIFF_E2E_KUBECONFIG;
  if (given !== undefined && given !== '') {
    // Where the machine has no kubectl and helm of its own, those that the tests have built.
    const env = { ...process.env, KUBECONFIG: given, PATH: `${process.env.PATH ?? ''}:${join(clusterCache(), 'bin')}` };
    return { env, given: true, issuer: await issuerOf(env, signal), stop: () => Promise.resolve() };
  }
  await preflight(signal);
  const owner = keep ? {} : { SKIFF_CLUSTER_OWNER_PID: String(process.pid) };
  const up = { command: join(SCRIPTS, 'kube-up.sh'), args: ['node'], env: { ...process.env, ...owner }, timeoutMs: UP_TIMEOUT_MS, showProgress: true };
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

async function preflight(signal: AbortSignal): Promise<void> {
  try {
    await output({ command: join(SCRIPTS, 'kube-up.sh'), args: ['preflight'], timeoutMs: PREFLIGHT_TIMEOUT_MS }, signal);
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === UNFIT) throw new UnfitMachineError(error.stderr.trim().split('\n').at(-1) ?? '');
    throw error;
  }
}

async function issuerOf(env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string> {
  const discovery: unknown = JSON.parse(await output({ command: 'kubectl', args: ['get', '--raw', '/.well-known/openid-configuration'], env }, signal));
  if (typeof discovery !== 'object' || discovery === null || !('issuer' in discovery)) throw new Error('the cluster names no issuer of its tokens');
  return String(discovery.issuer);
}
