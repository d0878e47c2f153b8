import { Readable } from 'node:stream';
import { isFileEvent } from '@skiff/model/skiff-event';
import { StoreError } from '@skiff/model/store-error';
import type { DeliveryInput, EventFile, OpenEventFile } from '../delivery-target.ts';
import { encodeHeaderValue } from './cloud-event-request.ts';

/** The file cannot be sent, now or ever. */
export class FileUnavailableError extends Error {
  readonly code = 'FileUnavailable';
  /** True: that version is gone, and no later try will find it. */
  readonly gone: boolean;
  constructor(message: string, gone: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = 'FileUnavailableError';
    this.gone = gone;
  }
}

export interface FileRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
  /** Why the file broke off, if it did. */
  readonly failure: () => FileUnavailableError | undefined;
}

/** The file of an event as a request. @throws {FileUnavailableError} */
export async function openFileRequest(openFile: OpenEventFile, input: DeliveryInput, signal: AbortSignal): Promise<FileRequest> {
  const { event } = input;
  if (event === undefined || !isFileEvent(event) || event.data.sizeBytes === undefined) throw new FileUnavailableError('the message tells of no file', true);
  let file: EventFile;
  try {
    file = await openFile(event, signal);
  } catch (error) {
    throw toUnavailable(error);
  }
  let failure: FileUnavailableError | undefined;
  async function* content(): AsyncIterable<Buffer> {
    try {
      yield* file.content;
    } catch (error) {
      failure = toUnavailable(error);
      throw failure;
    }
  }
  const body = Readable.from(content(), { objectMode: false });
  // Told by `failure`; the request may have ended before.
  body.on('error', () => undefined);
  return {
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(file.sizeBytes),
      'skiff-event-id': encodeHeaderValue(event.id),
      'skiff-event-type': encodeHeaderValue(event.type),
      'skiff-event-time': encodeHeaderValue(event.time),
      'skiff-username': encodeHeaderValue(event.data.username),
      'skiff-path': encodeHeaderValue(event.data.path),
      'skiff-etag': encodeHeaderValue(file.etag),
    },
    body,
    failure: () => failure,
  };
}

function toUnavailable(error: unknown): FileUnavailableError {
  if (error instanceof FileUnavailableError) return error;
  if (error instanceof StoreError && (error.code === 'notFound' || error.code === 'conflict')) {
    return new FileUnavailableError('the file was changed or removed after the event', true, { cause: error });
  }
  return new FileUnavailableError(`the file cannot be read: ${error instanceof Error ? error.message.slice(0, 150) : 'unknown failure'}`, false, {
    cause: error,
  });
}
