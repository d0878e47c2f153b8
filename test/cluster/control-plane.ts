import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterCache } from './cluster-cache.ts';

/** A Kubernetes API for tests: etcd, kube-apiserver and kube-controller-manager. It runs no pods. */
export interface ControlPlane {
  /** File with the credentials of a cluster admin. */
  readonly kubeconfigPath: string;
  /** The file's content. */
  readonly kubeconfig: string;
  /** The kubectl that belongs to it. */
  readonly kubectl: string;
  /** Time it took to start, ms; 0 for a given cluster. */
  readonly startMs: number;
  /** Process ids, for tests that stop or measure them; empty for a given cluster. */
  processIds(): Promise<Readonly<Record<'etcd' | 'kube-apiserver' | 'kube-controller-manager', number>> | undefined>;
  /** Starts those processes again that a test has killed, with the state and the ports they had. Returns when the API server is ready. */
  revive(): Promise<void>;
  /** Ends all processes and removes their state. A given cluster is left as it is. Safe to call twice. */
  stop(): Promise<void>;
}

export interface ControlPlaneOptions {
  /** Further arguments of kube-apiserver. A given cluster is then not used: it would not have them. */
  readonly apiServerArgs?: readonly string[];
}

const BUILD_TIMEOUT_MS = 40 * 60_000;
const STOP_TIMEOUT_MS = 30_000;

/**
 * Starts a control plane with ports and a state folder of its own, so that several may run side by side; one whose owner
 * dies is taken down too. With `SKIFF_TEST_KUBECONFIG` set, that cluster is used in its place. Takes about 9 s; the first
 * time on a machine the binaries are built, which takes minutes.
 *
 * @throws {Error} when a process does not become ready; the log's end is on standard error.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const given = process.env.SKIFF_TEST_KUBECONFIG;
  if (given !== undefined && given !== '' && options.apiServerArgs === undefined) {
    const kubeconfig = await readFile(given, 'utf8');
    return {
      kubeconfigPath: given,
      kubeconfig,
      kubectl: 'kubectl',
      startMs: 0,
      processIds: async () => undefined,
      revive: async () => {},
      stop: async () => {},
    };
  }
  const state = await mkdtemp(join(tmpdir(), 'skiff-control-plane-'));
  const [apiPort, etcdPort, etcdPeerPort] = await freePorts();
  const env = {
    ...process.env,
    SKIFF_CLUSTER_STATE: state,
    SKIFF_CLUSTER_OWNER_PID: String(process.pid),
    SKIFF_CLUSTER_API_PORT: String(apiPort),
    SKIFF_CLUSTER_ETCD_PORT: String(etcdPort),
    SKIFF_CLUSTER_ETCD_PEER_PORT: String(etcdPeerPort),
    ...(options.apiServerArgs === undefined ? {} : { SKIFF_CLUSTER_API_ARGS: options.apiServerArgs.join(' ') }),
  };
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    await runScript('kube-down.sh', ['--purge'], { env, timeoutMs: STOP_TIMEOUT_MS });
    // Left when the script found nothing to end.
    await rm(state, { recursive: true, force: true });
  };
  try {
    await runScript('kube-up.sh', ['build', 'control-plane'], { env, timeoutMs: BUILD_TIMEOUT_MS });
    const began = performance.now();
    await runScript('kube-up.sh', ['control-plane'], { env, timeoutMs: 3 * 60_000 });
    const startMs = Math.round(performance.now() - began);
    const kubeconfigPath = join(state, 'admin.kubeconfig');
    return {
      kubeconfigPath,
      kubeconfig: await readFile(kubeconfigPath, 'utf8'),
      kubectl: join(clusterCache(), 'bin', 'kubectl'),
      startMs,
      processIds: async () => ({
        etcd: await processId(state, 'etcd'),
        'kube-apiserver': await processId(state, 'kube-apiserver'),
        'kube-controller-manager': await processId(state, 'kube-controller-manager'),
      }),
      revive: () => runScript('kube-up.sh', ['control-plane'], { env, timeoutMs: 3 * 60_000 }),
      stop: () => {
        stopped ??= stop();
        return stopped;
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs `use` with a control plane and ends it afterwards, whatever happens. */
export async function withControlPlane<Result>(use: (controlPlane: ControlPlane) => Promise<Result>, options: ControlPlaneOptions = {}): Promise<Result> {
  const controlPlane = await startControlPlane(options);
  try {
    return await use(controlPlane);
  } finally {
    await controlPlane.stop();
  }
}

async function processId(state: string, name: string): Promise<number> {
  const line = await readFile(join(state, 'run', `${name}.pid`), 'utf8');
  return Number(line.split(' ')[0]);
}

/** Standard output is not read: the cluster's processes hold no pipe of ours, so `exit` is the end of the script. */
function runScript(script: string, args: readonly string[], options: { readonly env: NodeJS.ProcessEnv; readonly timeoutMs: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(import.meta.dirname, script), args, { env: options.env, stdio: ['ignore', 'ignore', 'inherit'], timeout: options.timeoutMs });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${script} ${args.join(' ')} ended with ${signal ?? code}`));
    });
  });
}

/** Three free ports; held at the same time, so that they differ. */
async function freePorts(): Promise<readonly [number, number, number]> {
  const servers = [createServer(), createServer(), createServer()] as const;
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.on('error', reject);
          server.listen(0, '127.0.0.1', () => {
            const address = server.address();
            if (address === null || typeof address === 'string') reject(new Error('no port'));
            else resolve(address.port);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  const [api = 0, etcd = 0, etcdPeer = 0] = ports;
  return [api, etcd, etcdPeer];
}
