import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import { describeFileStore } from '@skiff/storage/contract';
import { startBlobStandIn } from './blob-stand-in.ts';

// The adapter that holds on Azurite holds on the stand-in as well: each vouches for the other.
describeFileStore('azure-blob on the stand-in', {
  makeStore: async (listPageSize) => {
    const standIn = await startBlobStandIn({ containers: ['files'] });
    const credential = { accountName: standIn.accountName, accountKey: new Secret(standIn.accountKey) };
    const store = createAzureBlobStore({ accountUrl: standIn.url, container: 'files', credential, logger: silentLogger, listPageSize });
    const dispose = async (): Promise<void> => {
      await store.close();
      await standIn.stop();
    };
    return { store, dispose };
  },
});
