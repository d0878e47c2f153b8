import { type FileHandle, open } from 'node:fs/promises';
import { errorCode } from '../error-code.ts';
import { type FileState, nextFileState, unreadableFileState } from './folder-view.ts';
import { parseManifests } from './parse-manifests.ts';
import { fingerprintOf, type ScannedFile } from './scan-folder.ts';

/** A manifest above this is refused unread; 4,000 users fit. */
const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

export type ManifestRead =
  /** `retry`: the disk did not answer; the file may be all right. */
  | { readonly kind: 'read'; readonly state: FileState; readonly retry: boolean }
  /** The file is not, or no longer, what the scan saw. */
  | { readonly kind: 'moving' };

export interface ManifestReadRequest {
  /** Path on this machine. */
  readonly path: string;
  /** Path below the folder, for messages. */
  readonly name: string;
  readonly scanned: ScannedFile;
  readonly previous: FileState | undefined;
}

/** Reads one manifest, provided that it is from its first byte to its last the file that the scan saw. @throws only when `signal` aborts. */
export async function readManifestFile(request: ManifestReadRequest, signal: AbortSignal): Promise<ManifestRead> {
  const { name, previous, scanned } = request;
  if (scanned.sizeBytes > MAX_MANIFEST_BYTES) {
    const message = `larger than ${MAX_MANIFEST_BYTES / 1024 / 1024} MiB; split it into several files`;
    return { kind: 'read', state: unreadableFileState(name, previous, message), retry: false };
  }
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readUnchanged(request, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (errorCode(error) === 'ENOENT') return { kind: 'moving' };
    return { kind: 'read', state: unreadableFileState(name, previous, `cannot be read: ${errorCode(error)}`), retry: true };
  }
  if (bytes === undefined) return { kind: 'moving' };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { kind: 'read', state: unreadableFileState(name, previous, 'not UTF-8 text; save it as UTF-8'), retry: false };
  }
  return { kind: 'read', state: nextFileState(name, previous, await parseManifests(text, signal)), retry: false };
}

async function readUnchanged(request: ManifestReadRequest, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const handle = await open(request.path, 'r');
  try {
    const isAsScanned = async (): Promise<boolean> => fingerprintOf(await handle.stat({ bigint: true })) === request.scanned.fingerprint;
    if (!(await isAsScanned())) return undefined;
    const bytes = await readExactly(handle, request.scanned.sizeBytes, signal);
    return (await isAsScanned()) ? bytes : undefined;
  } finally {
    await handle.close();
  }
}

/** Reads no more than the scan promised: a file that grows meanwhile costs no memory. */
async function readExactly(handle: FileHandle, sizeBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(bytes, filled, sizeBytes - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
