import { silentLogger } from '@skiff/runtime/logger';
import { describeFileStore } from '../file-store.contract.ts';
import { createContainer, startAzurite } from '../testing/azurite-fixture.ts';
import { createAzureBlobStore } from './azure-blob-store.ts';

describeFileStore('azure-blob on Azurite', {
  manyEntries: 250,
  makeStore: async (listPageSize) => {
    const azurite = await startAzurite();
    const container = await createContainer(azurite);
    const store = createAzureBlobStore({ accountUrl: azurite.accountUrl, container, credential: azurite.credential, logger: silentLogger, listPageSize });
    const dispose = async (): Promise<void> => {
      await store.close();
      await azurite.stop();
    };
    return { store, dispose };
  },
});
