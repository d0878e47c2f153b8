import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import type { FileStore } from '@skiff/storage/file-store';
import { createLocalStore } from '@skiff/storage/local';
import { createMemoryStore } from '@skiff/storage/memory';
import { AZURITE_ACCOUNT, AZURITE_KEY, startAzurite } from '../emulators/azurite.ts';
import { makeCertificates } from '../emulators/certificates.ts';

export interface TestStore {
  readonly store: FileStore;
  dispose(): Promise<void>;
}

/** A container of an Azurite, by the key that each has. */
export function openAzuriteContainer({
  blobEndpoint,
  container,
  ca,
}: {
  readonly blobEndpoint: string;
  readonly container: string;
  readonly ca: string;
}): FileStore {
  const credential = { accountName: AZURITE_ACCOUNT, accountKey: new Secret(AZURITE_KEY) };
  return createAzureBlobStore({ accountUrl: blobEndpoint, container, credential, logger: silentLogger, ca });
}

/** One empty store of each kind that an endpoint can have. */
export const TEST_STORES: Readonly<Record<'memory' | 'a local directory' | 'Azurite', () => Promise<TestStore>>> = {
  memory: () => Promise.resolve({ store: createMemoryStore(), dispose: () => Promise.resolve() }),
  'a local directory': async () => {
    const root = await mkdtemp(join(tmpdir(), 'skiff-local-'));
    return { store: await createLocalStore({ root }), dispose: () => rm(root, { recursive: true, force: true }) };
  },
  Azurite: async () => {
    const dir = await mkdtemp(join(tmpdir(), 'skiff-azurite-'));
    const certificates = await makeCertificates(dir);
    const azurite = await startAzurite({ certificates, containers: ['files'] });
    const store = openAzuriteContainer({ blobEndpoint: azurite.blobEndpoint, container: 'files', ca: certificates.ca });
    const dispose = async () => {
      await store.close();
      await azurite.stop();
      await rm(dir, { recursive: true, force: true });
    };
    return { store, dispose };
  },
};
