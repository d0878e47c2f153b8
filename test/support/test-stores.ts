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
    const store = createAzureBlobStore({
      accountUrl: azurite.blobEndpoint,
      container: 'files',
      credential: { accountName: AZURITE_ACCOUNT, accountKey: new Secret(AZURITE_KEY) },
      logger: silentLogger,
      ca: certificates.ca,
    });
    const dispose = async () => {
      await azurite.stop();
      await rm(dir, { recursive: true, force: true });
    };
    return { store, dispose };
  },
};
