import { ContainerClient, isRestError, newPipeline, type StoragePipelineOptions, StorageSharedKeyCredential } from '@azure/storage-blob';
import { withDeadline } from '../deadline.ts';
import { blobError, connectionError } from './blob-error.ts';
import type { ContainerAddress } from './blob-path.ts';
import type { BlobAgent } from './blob-requests.ts';
import { type BlobCredential, isSharedKey } from './credential.ts';
import type { TokenCache } from './token-cache.ts';

export interface SdkClientProps {
  readonly address: ContainerAddress;
  readonly credential: BlobCredential;
  readonly tokens: TokenCache | undefined;
  readonly agent: BlobAgent;
}

/** The SDK on our connections and with our token, and without retries of its own: there is one policy for those, the caller's. */
export function createSdkClient(props: SdkClientProps): ContainerClient {
  // `agent` is an option of the pipeline below (core-rest-pipeline), which the storage client hands through.
  const options: StoragePipelineOptions & { readonly agent: BlobAgent } = { agent: props.agent, retryOptions: { maxTries: 1 } };
  return new ContainerClient(`${props.address.accountUrl}/${props.address.container}`, newPipeline(sdkCredential(props), options));
}

function sdkCredential({ credential, tokens }: SdkClientProps): Parameters<typeof newPipeline>[0] {
  if (isSharedKey(credential)) return new StorageSharedKeyCredential(credential.accountName, credential.accountKey.reveal());
  return tokens === undefined ? credential : { getToken: () => tokens.get() };
}

export interface SdkCall {
  readonly operation: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** @throws {StoreError} only */
export async function callSdk<Result>(call: SdkCall, run: (abortSignal: AbortSignal) => Promise<Result>): Promise<Result> {
  return await withDeadline(call.signal, call.timeoutMs, async (abortSignal) => {
    try {
      return await run(abortSignal);
    } catch (error) {
      throw storeErrorOf(call.operation, error);
    }
  });
}

function storeErrorOf(operation: string, error: unknown): unknown {
  if (isRestError(error) && error.response !== undefined) {
    const { status, headers } = error.response;
    return blobError({
      operation,
      status,
      errorCode: headers.get('x-ms-error-code') ?? error.code,
      requestId: headers.get('x-ms-request-id'),
      retryAfter: headers.get('retry-after'),
    });
  }
  return connectionError(operation, error);
}
