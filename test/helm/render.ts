import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { clusterCache } from '../cluster/cluster-cache.ts';

const run = promisify(execFile);
export const CHART = join(import.meta.dirname, '../../charts/skiff');
const KUBE_VERSION = '1.35.4';
const TIMEOUT_MS = 60_000;

/** The helm of the test cluster's cache, or the machine's own. Undefined: neither. */
export function findHelm(): string | undefined {
  const folders = [join(clusterCache(), 'bin'), ...(process.env.PATH ?? '').split(':')];
  return folders.map((folder) => join(folder, 'helm')).find((path) => existsSync(path));
}

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly rules?: readonly { readonly apiGroups: readonly string[]; readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
  readonly [field: string]: unknown;
}

/** `helm template`, as text. @throws what helm says. */
export async function render(helm: string, args: readonly string[] = []): Promise<string> {
  const all = ['template', 'skiff', CHART, '--namespace', 'skiff-system', '--kube-version', KUBE_VERSION, ...args];
  return (await run(helm, all, { timeout: TIMEOUT_MS, maxBuffer: 32 * 1024 * 1024 })).stdout;
}

export async function lint(helm: string, args: readonly string[]): Promise<string> {
  return (await run(helm, ['lint', CHART, '--strict', ...args], { timeout: TIMEOUT_MS })).stdout;
}

export function parse(rendered: string): readonly Manifest[] {
  return parseAllDocuments(rendered).flatMap((document) => {
    const value: unknown = document.toJS();
    return isManifest(value) ? [value] : [];
  });
}

function isManifest(value: unknown): value is Manifest {
  return typeof value === 'object' && value !== null && 'kind' in value && 'metadata' in value;
}
