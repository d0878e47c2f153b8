import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clusterCache } from '../../cluster/cluster-cache.ts';
import { bundleParts } from '../parts/bundle-parts.ts';
import { output } from './kubectl.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PARTS_FOLDER = join(import.meta.dirname, '../parts');
const KUBE_UP = join(ROOT, 'test/cluster/kube-up.sh');
const BUILD_TIMEOUT_MS = 20 * 60_000;
/** Of the two bases: what changes them is in the tag, and an image that is there is not built again. */
const BASES_TAG = `node-${process.versions.node}`;
const MACHINE_BASE = `docker.io/skiff/e2e-node:${BASES_TAG}`;
const BUILD_BASE = `docker.io/skiff/e2e-build-base:${BASES_TAG}`;
const RUNTIME_BASE = `docker.io/skiff/e2e-debian-slim:${BASES_TAG}`;
const PARTS = 'docker.io/skiff/e2e-parts';
const SKIFF = 'docker.io/skiff/skiff:e2e';
const PREVIOUS = 'docker.io/skiff/skiff-previous';

export interface Images {
  readonly skiff: string;
  readonly parts: string;
  /** Of the version before, when it was given. */
  readonly previous: string | undefined;
  /** Of the product's image, unpacked; undefined when it was given. */
  readonly skiffBytes: number | undefined;
}

/**
 * Builds the product's image from its own Dockerfile, and the image of what surrounds it, into the node. A minimal Debian stands in
 * for the public base images. Without `build` the product's image is that of the run before.
 */
export async function buildImages(work: string, build: boolean, signal: AbortSignal): Promise<Images> {
  const builder = new ImageBuilder(signal);
  await builder.bases();
  const context = join(work, 'parts-image');
  await bundleParts(context);
  const parts = `${PARTS}:${await digestOf(context)}`;
  await builder.once(parts, () => builder.kubeUp('build-image', parts, context, '--build-arg', `BASE_IMAGE=${MACHINE_BASE}`));
  await builder.kubeUp('push-image', parts);
  if (build) await builder.product(SKIFF, ROOT);
  await builder.kubeUp('push-image', SKIFF);
  return { skiff: SKIFF, parts, previous: undefined, skiffBytes: await unpackedBytes(SKIFF, signal) };
}

/** Images that a given cluster can pull. @throws {Error} when they are not named: nothing is pushed to somebody's cluster. */
export function namedImages(): Images {
  const { SKIFF_E2E_IMAGE: skiff = '', SKIFF_E2E_PARTS_IMAGE: parts = '', SKIFF_E2E_PREVIOUS_IMAGE: previous = '' } = process.env;
  if (skiff === '' || parts === '')
    throw new Error('a given cluster needs images that it can pull: SKIFF_E2E_IMAGE and SKIFF_E2E_PARTS_IMAGE (tools/node test/e2e/e2e.ts --help)');
  return { skiff, parts, previous: previous === '' ? undefined : previous, skiffBytes: undefined };
}

/** Builds the image of another version from its checkout, by its own Dockerfile, once. */
export async function buildPreviousImage(checkout: string, commit: string, signal: AbortSignal): Promise<string> {
  const builder = new ImageBuilder(signal);
  await builder.bases();
  const name = `${PREVIOUS}:${commit}`;
  await builder.once(name, () => builder.product(name, checkout));
  await builder.kubeUp('push-image', name);
  return name;
}

class ImageBuilder {
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  kubeUp(...args: readonly string[]): Promise<string> {
    return output({ command: 'nice', args: ['-n', '5', KUBE_UP, ...args], timeoutMs: BUILD_TIMEOUT_MS }, this.#signal);
  }

  /** Builds what buildah does not have, and drops what it has under the same name from runs before. */
  async once(image: string, build: () => Promise<unknown>): Promise<void> {
    const [repository = ''] = image.split(/:(?=[^/]+$)/);
    const had = (await this.#buildah('images', '--format', '{{.Name}}:{{.Tag}}')).split('\n').filter((name) => name.startsWith(`${repository}:`));
    if (had.includes(image)) return;
    await build();
    for (const old of had) await this.#buildah('rmi', old);
  }

  /** The machine that npm and the compiler run on, as `node:24-bookworm` has them, and one as bare as `debian:12-slim`. */
  async bases(): Promise<void> {
    await this.kubeUp('image-tools');
    await this.once(MACHINE_BASE, () => this.kubeUp('base-image', MACHINE_BASE));
    const compiler = ['--build-arg', `BASE_IMAGE=${MACHINE_BASE}`, '-f', join(PARTS_FOLDER, 'build-base.Dockerfile')];
    await this.once(BUILD_BASE, () => this.kubeUp('build-image', BUILD_BASE, PARTS_FOLDER, ...compiler));
    await this.once(RUNTIME_BASE, () => this.#slimBase());
  }

  product(image: string, checkout: string): Promise<string> {
    const bases = ['--build-arg', `BUILD_IMAGE=${BUILD_BASE}`, '--build-arg', `BASE_IMAGE=${RUNTIME_BASE}`];
    return this.kubeUp('build-image', image, checkout, '-f', join(checkout, 'deploy/image/Dockerfile'), ...bases);
  }

  /** What base-image has bootstrapped, without the Node and npm that it adds. */
  async #slimBase(): Promise<void> {
    const container = (await this.#buildah('from', 'scratch')).trim();
    try {
      await this.#buildah('add', '-q', container, join(clusterCache(), 'images/debian-bookworm.tar'), '/');
      await this.#buildah('commit', '-q', container, RUNTIME_BASE);
    } finally {
      await this.#buildah('rm', container);
    }
  }

  #buildah(...args: readonly string[]): Promise<string> {
    return output({ command: 'buildah', args, timeoutMs: BUILD_TIMEOUT_MS }, this.#signal);
  }
}

async function digestOf(folder: string): Promise<string> {
  const digest = createHash('sha256');
  for (const name of (await readdir(folder)).sort()) digest.update(`${name}\0`).update(await readFile(join(folder, name)));
  return digest.digest('hex').slice(0, 12);
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
