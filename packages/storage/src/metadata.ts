import { StoreError } from '@skiff/model/store-error';

export type Metadata = Readonly<Record<string, string>>;

/**
 * Marks a zero-byte blob as an explicit, empty directory. Hadoop's ABFS driver, the Data Lake API and Azure's own SFTP
 * service write and honour the same key.
 */
export const DIRECTORY_METADATA_KEY = 'hdi_isfolder';

/** Azure caps the metadata of a blob at 8 KiB, keys and values together (Setting and retrieving properties and metadata). */
export const MAX_METADATA_BYTES = 8 * 1024;

const KEY = /^[a-z_][a-z0-9_]*$/;
// HTTP trims the blanks around a header's value, so a value that has some would come back changed.
const VALUE = /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/;

/** @throws {StoreError} `invalid` for what a store would refuse or give back changed. */
export function checkMetadata(metadata: Metadata): void {
  let sizeBytes = 0;
  for (const [key, value] of Object.entries(metadata)) {
    if (!KEY.test(key)) throw new StoreError({ code: 'invalid', message: 'a metadata key must match [a-z_][a-z0-9_]*' });
    if (!VALUE.test(value)) throw new StoreError({ code: 'invalid', message: `the value of metadata ${key} is not plain ASCII` });
    sizeBytes += key.length + value.length;
  }
  if (sizeBytes > MAX_METADATA_BYTES) throw new StoreError({ code: 'invalid', message: `metadata is larger than ${MAX_METADATA_BYTES} bytes` });
}

export function isDirectoryMarker(metadata: Metadata): boolean {
  const mark: string | undefined = metadata[DIRECTORY_METADATA_KEY];
  return mark?.toLowerCase() === 'true';
}

/** Stores differ in the case of the keys they give back: listings keep it, properties do not. */
export function lowerCaseKeys(metadata: Metadata | undefined): Metadata {
  return Object.fromEntries(Object.entries(metadata ?? {}).map(([key, value]) => [key.toLowerCase(), value]));
}

/**
 * Copy Blob without metadata takes the source's, and so would pass the id of another operation on as if it were its own.
 *
 * @throws {StoreError} `invalid`
 */
export function checkCopyMetadata(metadata: Metadata): void {
  if (Object.keys(metadata).length === 0) throw new StoreError({ code: 'invalid', message: 'a copy needs metadata of its own' });
}
