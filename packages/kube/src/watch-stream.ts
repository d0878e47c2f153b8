import { isRecord } from '@skiff/model/is-record';
import { type KubeError, noAnswer, statusError } from './kube-error.ts';
import { isKubeObject, type KubeObject } from './kube-object.ts';

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  /** Nothing changed up to this resource version. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

/** Longest line of a watch, bytes: etcd takes objects of 1.5 MiB, and JSON may escape a byte to six. */
const MAX_WATCH_LINE_BYTES = 16 * 1024 * 1024;

/**
 * Parses the body of a watch: JSON, one event per line. Ends when the stream ends.
 *
 * @throws {KubeError} the server's own error event; `unavailable` for a line that is no event.
 */
export async function* watchEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<WatchEvent> {
  for await (const line of splitLines(chunks, MAX_WATCH_LINE_BYTES)) {
    if (line !== '') yield parseEvent(line);
  }
}

/** Decodes whole lines only, so a character that is split between chunks survives. A last line without its end is dropped: it was cut off. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, maxLineBytes: number): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      parts.push(chunk.subarray(start, end));
      yield Buffer.concat(parts).toString('utf8');
      parts = [];
      sizeBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
    sizeBytes += chunk.length - start;
    if (sizeBytes > maxLineBytes) throw noAnswer(`a line of the watch is longer than ${maxLineBytes} bytes`);
  }
}

function parseEvent(line: string): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw noAnswer('a line of the watch is not JSON', cause);
  }
  if (!isRecord(event)) throw malformed();
  const { type, object } = event;
  if (type === 'ERROR') throw statusError(isRecord(object) && typeof object.code === 'number' ? object.code : 500, object);
  if (type === 'BOOKMARK') {
    const metadata = isRecord(object) ? object.metadata : undefined;
    if (!isRecord(metadata) || typeof metadata.resourceVersion !== 'string') throw malformed();
    return { type, resourceVersion: metadata.resourceVersion };
  }
  if ((type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') || !isKubeObject(object)) throw malformed();
  return { type, object };
}

function malformed(): KubeError {
  return noAnswer('a line of the watch is not an event');
}
