import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from '../support/eventually.ts';
import type { ControlPlane } from './control-plane.ts';

const TIMEOUT_MS = 120_000;
const ESTABLISHED_TIMEOUT_MS = 60_000;

export interface Ran {
  readonly code: number;
  /** Of both streams. */
  readonly output: string;
}

/** Runs kubectl as the cluster's admin to its end, whatever that is. */
export async function tryKubectl(plane: ControlPlane, args: readonly string[], input = ''): Promise<Ran> {
  const child = spawn(plane.kubectl, ['--kubeconfig', plane.kubeconfigPath, ...args], { stdio: 'pipe', timeout: TIMEOUT_MS });
  let output = '';
  child.on('error', (error) => {
    output += error.message;
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code: Number(code ?? 1), output };
}

/** Runs kubectl and gives what it said. @throws {Error} with that, when it fails. */
export async function kubectl(plane: ControlPlane, args: readonly string[], input = ''): Promise<string> {
  const { code, output } = await tryKubectl(plane, args, input);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${output}`);
  return output;
}

/** Until the API server serves all CRDs. Asks again: `kubectl wait` fails on one whose conditions are not there yet. */
export async function untilEstablished(plane: ControlPlane): Promise<void> {
  const wait = ['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all'];
  await eventually('all CRDs are established', async () => (await tryKubectl(plane, wait)).code === 0, ESTABLISHED_TIMEOUT_MS);
}
