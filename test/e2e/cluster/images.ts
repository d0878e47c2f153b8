import { homedir } from 'node:os';
import { join } from 'node:path';
import { bundleParts } from '../parts/bundle-parts.ts';
import { output } from './kubectl.ts';

const ROOT = join(import.meta.dirname, '../../..');
const KUBE_UP = join(ROOT, 'test/cluster/kube-up.sh');
const BUILD_TIMEOUT_MS = 20 * 60_000;
const BUILD_BASE = 'docker.io/skiff/e2e-build-base:dev';
const SKIFF = 'docker.io/skiff/skiff:e2e';
const PARTS = 'docker.io/skiff/e2e-parts:dev';
const RUNTIME_BASE = 'docker.io/skiff/e2e-debian-slim:dev';

export interface Images {
  readonly skiff: string;
  readonly parts: string;
  /** Of the product's image, unpacked; undefined when it was given. */
  readonly skiffBytes: number | undefined;
}

/**
 * Builds the product's image from its own Dockerfile, and the image of what surrounds it, into the node. A minimal Debian stands in
 * for the public base images. `SKIFF_E2E_IMAGE` and `SKIFF_E2E_PARTS_IMAGE` name images that the cluster can pull instead.
 */
export async function buildImages(work: string, signal: AbortSignal): Promise<Images> {
  const { SKIFF_E2E_IMAGE: given = '', SKIFF_E2E_PARTS_IMAGE: givenParts = '' } = process.env;
  if (given !== '' && givenParts !== '') return { skiff: given, parts: givenParts, skiffBytes: undefined };
  const nice = (command: string, args: readonly string[]): Promise<string> =>
    output({ command: 'nice', args: ['-n', '10', command, ...args], timeoutMs: BUILD_TIMEOUT_MS }, signal);
  await nice(KUBE_UP, ['base-image', BUILD_BASE]);
  await slimBase(nice);
  const context = join(work, 'parts-image');
  await bundleParts(context);
  await nice(KUBE_UP, ['image', PARTS, context, '--build-arg', `BASE_IMAGE=${BUILD_BASE}`]);
  const bases = ['--build-arg', `BUILD_IMAGE=${BUILD_BASE}`, '--build-arg', `BASE_IMAGE=${RUNTIME_BASE}`];
  await nice(KUBE_UP, ['image', SKIFF, ROOT, '-f', join(ROOT, 'deploy/image/Dockerfile'), ...bases]);
  return { skiff: SKIFF, parts: PARTS, skiffBytes: await unpackedBytes(SKIFF, signal) };
}

/** What a run before has left in the node. */
export function presentImages(): Images {
  return { skiff: SKIFF, parts: PARTS, skiffBytes: undefined };
}

async function unpackedBytes(image: string, signal: AbortSignal): Promise<number> {
  const container = (await output({ command: 'buildah', args: ['from', '--pull-never', image] }, signal)).trim();
  try {
    const folder = (await output({ command: 'buildah', args: ['mount', container] }, signal)).trim();
    return Number.parseInt(await output({ command: 'du', args: ['-sxB1', folder] }, signal), 10);
  } finally {
    await output({ command: 'buildah', args: ['rm', container] });
  }
}

/** What base-image has bootstrapped, without the Node and npm that it adds: as bare as `debian:12-slim`. */
async function slimBase(run: (command: string, args: readonly string[]) => Promise<string>): Promise<void> {
  const cache = process.env.SKIFF_CLUSTER_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'skiff-cluster');
  const container = (await run('buildah', ['from', 'scratch'])).trim();
  try {
    await run('buildah', ['add', '-q', container, join(cache, 'images/debian-bookworm.tar'), '/']);
    await run('buildah', ['commit', '-q', container, RUNTIME_BASE]);
  } finally {
    await run('buildah', ['rm', container]);
  }
}
