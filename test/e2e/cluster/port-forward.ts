import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Kubectl } from './kubectl.ts';

const READY_TIMEOUT_MS = 20_000;

export interface PortForward {
  /** On 127.0.0.1. */
  readonly port: number;
  stop(): Promise<void>;
}

export interface PortForwardProps {
  readonly kube: Kubectl;
  readonly namespace: string;
  /** Such as `service/azurite`. */
  readonly target: string;
  readonly port: number;
}

/** `kubectl port-forward` to a free local port. */
export async function forwardPort({ kube, namespace, target, port }: PortForwardProps): Promise<PortForward> {
  const child = spawn('kubectl', ['-n', namespace, 'port-forward', target, `:${port}`], { env: kube.env, stdio: ['ignore', 'pipe', 'pipe'] });
  const found = Promise.withResolvers<number>();
  let said = '';
  const read = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-4_096);
    const local = /127\.0\.0\.1:(\d+) ->/.exec(said)?.[1];
    if (local !== undefined) found.resolve(Number(local));
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  child.on('error', found.reject);
  child.on('exit', (code) => found.reject(new Error(`kubectl port-forward ended with ${code}: ${said}`)));
  const timer = setTimeout(() => found.reject(new Error(`no port forward: ${said}`)), READY_TIMEOUT_MS);
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  };
  try {
    return { port: await found.promise, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
