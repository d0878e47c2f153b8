import type { Permission } from '@skiff/model/permission';
import type { OpenFlags } from '../backend.ts';
import { readAttributes } from '../codec/attributes.ts';
import { MalformedRequestError } from '../codec/body-reader.ts';
import { MAX_TRANSFER_BYTES } from '../codec/packet-type.ts';
import { encodeDataHead, encodeEntry, encodeHandle, encodeNames, encodeStatus } from '../codec/replies.ts';
import { SftpError, SftpStatus } from '../sftp-error.ts';
import { type DirectoryHandle, newDirectoryHandle, newFileHandle } from './handle-table.ts';
import type { Request, RequestRow } from './request.ts';

/** `SSH_FXF_*`, draft-ietf-secsh-filexfer-02 section 6.3. */
const FXF = { read: 0x1, write: 0x2, append: 0x4, create: 0x8, truncate: 0x10, exclusive: 0x20 } as const;
/** OpenSSH answers with 100 entries; old clients take replies of some 32 KiB at most. */
const MAX_ENTRIES = 200;
const MAX_NAMES_BYTES = 30_000;

export async function open(request: Request, row: RequestRow): Promise<readonly Buffer[]> {
  const { id, place, reader } = request;
  const path = request.path();
  const flags = readOpenFlags(reader.uint32());
  const attributes = reader.remaining === 0 ? {} : readAttributes(reader);
  const permissions: Permission[] = [];
  if (flags.read) permissions.push('Read');
  if (flags.write) permissions.push('Write');
  request.admit(row, path, { writes: flags.write, permissions });
  place.handles.reserve();
  try {
    const file = await request.inOrder([path], flags.write, () => place.backend.open(path, flags, attributes));
    if (place.isReleased()) {
      place.giveUp(() => file.abandon());
      throw new SftpError(SftpStatus.connectionLost, 'the channel is closed');
    }
    return [encodeHandle(id, place.handles.add(newFileHandle(path, flags, file)))];
  } catch (error) {
    place.handles.unreserve();
    throw error;
  }
}

function readOpenFlags(bits: number): OpenFlags {
  const has = (flag: number) => (bits & flag) !== 0;
  const flags: OpenFlags = {
    read: has(FXF.read),
    write: has(FXF.write) || has(FXF.append),
    append: has(FXF.append),
    create: has(FXF.create),
    truncate: has(FXF.truncate),
    exclusive: has(FXF.exclusive),
  };
  if (!flags.read && !flags.write) throw new MalformedRequestError('OPEN for neither reading nor writing');
  return flags;
}

export async function openDirectory(request: Request, row: RequestRow): Promise<readonly Buffer[]> {
  const { id, place } = request;
  const path = request.admittedPath(row);
  place.handles.reserve();
  try {
    const directory = await request.inOrder([path], false, () => place.backend.openDirectory(path));
    if (place.isReleased()) {
      place.giveUp(() => directory.close());
      throw new SftpError(SftpStatus.connectionLost, 'the channel is closed');
    }
    return [encodeHandle(id, place.handles.add(newDirectoryHandle(path, directory)))];
  } catch (error) {
    place.handles.unreserve();
    throw error;
  }
}

/** The handle is gone from here on, whatever the outcome (POSIX close(2)). Waits for the handle's earlier requests. */
export async function close(request: Request): Promise<readonly Buffer[]> {
  const { id, place } = request;
  const handleId = request.handleId();
  const handle = place.handles.get(handleId);
  if (handleId !== undefined) place.handles.delete(handleId);
  if (handle.kind === 'directory') {
    await handle.queue.run(true, async () => handle.directory.close());
  } else {
    await request.inOrder([handle.path], handle.flags.write, () => handle.queue.run(true, () => handle.file.close()));
  }
  return [encodeStatus(id, SftpStatus.ok, '')];
}

export async function read(request: Request): Promise<readonly Buffer[]> {
  const { id, place, reader } = request;
  const handle = place.handles.file(request.handleId());
  const offset = reader.uint64();
  const length = Math.min(reader.uint32(), MAX_TRANSFER_BYTES);
  if (!handle.flags.read) throw new SftpError(SftpStatus.permissionDenied, 'the file is not open for reading');
  if (!Number.isSafeInteger(offset + length)) throw new MalformedRequestError('offset is larger than 2^53 - 1');
  if (length === 0) return endOfFile(id);
  request.reserveOutput(length);
  const content = await handle.queue.run(false, () => handle.file.read(offset, length));
  if (content === undefined || content.sizeBytes === 0) return endOfFile(id);
  return [encodeDataHead(id, content.sizeBytes), ...content.parts];
}

function endOfFile(id: number): readonly Buffer[] {
  return [encodeStatus(id, SftpStatus.eof, 'end of file')];
}

export async function readDirectory(request: Request): Promise<readonly Buffer[]> {
  const { id, place } = request;
  const handle = place.handles.directory(request.handleId());
  const entries = await handle.queue.run(true, () => nextEntries(handle, place.now()));
  return [entries.length === 0 ? encodeStatus(id, SftpStatus.eof, 'end of directory') : encodeNames(id, entries)];
}

async function nextEntries(handle: DirectoryHandle, now: number): Promise<readonly Buffer[]> {
  const { leftover } = handle;
  while (leftover.length === 0) {
    const entries = await handle.directory.next();
    if (entries === undefined) return [];
    leftover.push(...entries);
  }
  const encoded: Buffer[] = [];
  let bytes = 0;
  let count = 0;
  for (const entry of leftover) {
    const next = encodeEntry(entry, now);
    bytes += next.length;
    if (count > 0 && (count === MAX_ENTRIES || bytes > MAX_NAMES_BYTES)) break;
    encoded.push(next);
    count++;
  }
  leftover.splice(0, count);
  return encoded;
}
