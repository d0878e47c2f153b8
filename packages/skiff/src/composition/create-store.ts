import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import { createAzureBlobStore } from '@skiff/storage/azure-blob';
import type { FileStore } from '@skiff/storage/file-store';
import { createLocalStore } from '@skiff/storage/local';
import type { ProcessParts } from './process-parts.ts';

/** The store that an endpoint's settings name. */
export async function createStore(parts: ProcessParts, settings: EndpointSettings): Promise<FileStore> {
  const { storage } = settings;
  if (storage.kind === 'local') return createLocalStore({ root: storage.path });
  const { storageKey } = parts.configuration;
  const credential = storageKey === undefined ? parts.azure : { accountName: storage.account, accountKey: storageKey };
  return createAzureBlobStore({ accountUrl: storage.endpoint, container: storage.container, credential, logger: parts.logger });
}
