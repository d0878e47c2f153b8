import { readAttributes } from '../codec/attributes.ts';
import { MAX_PACKET_BYTES, MAX_TRANSFER_BYTES, PacketType } from '../codec/packet-type.ts';
import { encodeAttrs, encodeExtendedReply, encodeRealPath, encodeStatus } from '../codec/replies.ts';
import { SftpError, SftpStatus } from '../sftp-error.ts';
import { close, open, openDirectory, read, readDirectory } from './open-requests.ts';
import type { Request, RequestRow } from './request.ts';

type Reply = Promise<readonly Buffer[]>;

function done(request: Request): readonly Buffer[] {
  return [encodeStatus(request.id, SftpStatus.ok, '')];
}

async function stat(request: Request, row: RequestRow): Reply {
  const path = request.admittedPath(row);
  return [encodeAttrs(request.id, await request.inOrder([path], row.writes, () => request.place.backend.stat(path)))];
}

async function handleStat(request: Request): Reply {
  const handle = request.place.handles.file(request.handleId());
  return [encodeAttrs(request.id, await handle.queue.run(true, () => handle.file.stat()))];
}

async function setStat(request: Request, row: RequestRow): Reply {
  const path = request.path();
  const attributes = readAttributes(request.reader);
  request.admit(row, path);
  await request.inOrder([path], row.writes, () => request.place.backend.setStat(path, attributes));
  return done(request);
}

async function handleSetStat(request: Request, row: RequestRow): Reply {
  const handle = request.place.handles.file(request.handleId());
  const attributes = readAttributes(request.reader);
  request.admit(row, handle.path);
  await handle.queue.run(true, () => handle.file.setStat(attributes));
  return done(request);
}

async function remove(request: Request, row: RequestRow): Reply {
  const path = request.admittedPath(row);
  await request.inOrder([path], row.writes, () => request.place.backend.remove(path));
  return done(request);
}

async function makeDirectory(request: Request, row: RequestRow): Reply {
  const path = request.admittedPath(row);
  await request.inOrder([path], row.writes, () => request.place.backend.makeDirectory(path));
  return done(request);
}

async function removeDirectory(request: Request, row: RequestRow): Reply {
  const path = request.admittedPath(row);
  await request.inOrder([path], row.writes, () => request.place.backend.removeDirectory(path));
  return done(request);
}

/** Pure path arithmetic: the path need not exist, as with OpenSSH's last component. */
async function realPath(request: Request, row: RequestRow): Reply {
  return [encodeRealPath(request.id, request.admittedPath(row))];
}

async function renameFile(request: Request, row: RequestRow): Reply {
  const source = request.path();
  const target = request.path();
  request.admit(row, source, { target });
  const replace = row.name === 'posix-rename@openssh.com';
  await request.inOrder([source, target], row.writes, () => request.place.backend.rename(source, target, { replace }));
  return done(request);
}

async function noLinks(): Reply {
  throw new SftpError(SftpStatus.unsupported, 'symbolic links are not supported');
}

/** The reply of limits@openssh.com: four uint64 (OpenSSH PROTOCOL, section 4.8). */
async function limits(request: Request): Reply {
  const body = Buffer.alloc(32);
  [MAX_PACKET_BYTES, MAX_TRANSFER_BYTES, MAX_TRANSFER_BYTES, request.place.maxHandles].forEach((value, index) => {
    body.writeBigUInt64BE(BigInt(value), index * 8);
  });
  return [encodeExtendedReply(request.id, body)];
}

/** Every request but INIT and WRITE, which the session handles itself: they have no ordinary body. */
export const REQUEST_TABLE: ReadonlyMap<number, RequestRow> = new Map<number, RequestRow>([
  [PacketType.open, { name: 'OPEN', writes: true, handle: open }],
  [PacketType.close, { name: 'CLOSE', writes: false, handle: close }],
  [PacketType.read, { name: 'READ', writes: false, handle: read }],
  [PacketType.lstat, { name: 'LSTAT', writes: false, handle: stat }],
  [PacketType.fstat, { name: 'FSTAT', writes: false, handle: handleStat }],
  [PacketType.setstat, { name: 'SETSTAT', writes: true, permission: 'SetAttributes', handle: setStat }],
  [PacketType.fsetstat, { name: 'FSETSTAT', writes: true, permission: 'SetAttributes', handle: handleSetStat }],
  [PacketType.opendir, { name: 'OPENDIR', writes: false, permission: 'List', handle: openDirectory }],
  [PacketType.readdir, { name: 'READDIR', writes: false, handle: readDirectory }],
  [PacketType.remove, { name: 'REMOVE', writes: true, permission: 'Delete', handle: remove }],
  [PacketType.mkdir, { name: 'MKDIR', writes: true, permission: 'MakeDirectory', handle: makeDirectory }],
  [PacketType.rmdir, { name: 'RMDIR', writes: true, permission: 'RemoveDirectory', handle: removeDirectory }],
  [PacketType.realpath, { name: 'REALPATH', writes: false, handle: realPath }],
  [PacketType.stat, { name: 'STAT', writes: false, handle: stat }],
  [PacketType.rename, { name: 'RENAME', writes: true, permission: 'Rename', handle: renameFile }],
  [PacketType.readlink, { name: 'READLINK', writes: false, handle: noLinks }],
  [PacketType.symlink, { name: 'SYMLINK', writes: true, handle: noLinks }],
]);

/** Extended requests by name; each is announced in VERSION with its revision. */
export const EXTENDED_TABLE: ReadonlyMap<string, RequestRow & { readonly revision: string }> = new Map<string, RequestRow & { readonly revision: string }>([
  [
    'posix-rename@openssh.com',
    {
      name: 'posix-rename@openssh.com',
      revision: '1',
      writes: true,
      permission: 'Rename',
      handle: renameFile,
    },
  ],
  ['limits@openssh.com', { name: 'limits@openssh.com', revision: '1', writes: false, handle: limits }],
]);
