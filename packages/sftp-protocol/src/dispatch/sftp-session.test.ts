import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@skiff/runtime/logger';
import type { OpenFile, SftpBackend } from '../backend.ts';
import { PacketType } from '../codec/packet-type.ts';
import { SftpError, SftpStatus } from '../sftp-error.ts';
import { FakeChannel } from '../testing/fake-channel.ts';
import { MemoryBackend } from '../testing/memory-backend.ts';
import { frame, type Packet, statusMessage, statusOf } from '../testing/sftp-frames.ts';
import { DEFAULT_SFTP_LIMITS, FlowBudget } from './flow-budget.ts';
import type { Gate, GateRequest } from './gate.ts';
import { SftpSession } from './sftp-session.ts';

const READ = 1;
const WRITE = 2;
const CREATE = 8;
const INIT = frame(PacketType.init, 3);

async function start(options: { readonly backend?: SftpBackend; readonly gate?: Gate; readonly init?: boolean } = {}) {
  const channel = new FakeChannel();
  const backend = options.backend ?? new MemoryBackend();
  const state = { ended: 0 };
  const session = new SftpSession({
    channel,
    backend,
    gate: options.gate,
    limits: DEFAULT_SFTP_LIMITS,
    budget: new FlowBudget(DEFAULT_SFTP_LIMITS.maxInFlightBytes),
    logger: silentLogger,
    now: () => 0,
    onActivity: () => {},
    onEnd: () => state.ended++,
  });
  session.start();
  if (options.init !== false) {
    channel.data(INIT);
    await channel.packets();
  }
  return { channel, session, state };
}

async function openHandle(channel: FakeChannel, path: string, flags = READ | WRITE | CREATE): Promise<Buffer> {
  channel.data(frame(PacketType.open, 1, path, flags, 0));
  const [reply] = await channel.packets();
  assert.equal(reply?.type, PacketType.handle);
  return reply?.body.subarray(4) ?? Buffer.alloc(0);
}

async function ask(channel: FakeChannel, ...frames: readonly Buffer[]): Promise<readonly Packet[]> {
  channel.data(...frames);
  return await channel.packets();
}

/** A backend whose file operations wait until the test lets them go. */
class SlowBackend extends MemoryBackend {
  readonly log: string[] = [];
  readonly #waiting: (() => void)[] = [];

  hold(what: string): Promise<void> {
    this.log.push(what);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  releaseOldest(): void {
    this.#waiting.shift()?.();
  }

  override async open(): Promise<OpenFile> {
    return {
      write: (offset) => this.hold(`write ${offset}`),
      read: async (offset, length) => {
        await this.hold(`read ${offset}`);
        return { parts: [Buffer.alloc(length)], sizeBytes: length };
      },
      stat: async () => ({}),
      setStat: async () => {},
      close: () => this.hold('close'),
      abandon: () => void this.log.push('abandon'),
    };
  }
}

test('answers INIT with version 3 and its extensions', async () => {
  const { channel } = await start({ init: false });
  const [version] = await ask(channel, INIT);
  assert.equal(version?.type, PacketType.version);
  assert.equal(version?.id, 3);
  assert.match(version?.body.toString('latin1') ?? '', /posix-rename@openssh\.com.*limits@openssh\.com/s);
});

for (const [claim, frames] of Object.entries({
  'a second INIT': [INIT, INIT],
  'a request before INIT': [frame(PacketType.stat, 1, '/')],
  'a WRITE before INIT': [frame(PacketType.write, 1, Buffer.alloc(4), 0n, Buffer.alloc(1))],
  'a request without an id': [INIT, frame(PacketType.stat)],
  'length 0': [INIT, Buffer.from([0, 0, 0, 0, 5])],
  'length 0xffffffff': [INIT, Buffer.from([255, 255, 255, 255, 5])],
})) {
  test(`${claim} closes the channel`, async () => {
    const { channel, state } = await start({ init: false });
    await ask(channel, ...frames);
    assert.equal(channel.state, 'aborted');
    assert.equal(state.ended, 1);
  });
}

test('answers truncated requests of every type with BAD_MESSAGE and goes on', async () => {
  const { channel } = await start();
  const types = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 200];
  for (const type of types) {
    const [reply] = await ask(channel, frame(type, 9, 1000));
    assert.equal(statusOf(reply), SftpStatus.badMessage, `type ${type}`);
    assert.equal(reply?.id, 9);
  }
  assert.equal(channel.state, 'open');
});

test('answers what it does not know with OP_UNSUPPORTED', async () => {
  const { channel } = await start();
  for (const request of [
    frame(99, 1),
    frame(PacketType.readlink, 1, '/a'),
    frame(PacketType.symlink, 1, '/a', '/b'),
    frame(PacketType.extended, 1, 'no@such'),
  ]) {
    assert.equal(statusOf((await ask(channel, request))[0]), SftpStatus.unsupported);
  }
});

test('refuses unknown handles, closed handles and handles of the wrong kind', async () => {
  const { channel } = await start();
  const file = await openHandle(channel, '/f');
  const [opened] = await ask(channel, frame(PacketType.opendir, 1, '/'));
  const directory = opened?.body.subarray(4) ?? Buffer.alloc(0);
  const requests = [
    frame(PacketType.read, 2, Buffer.from([9, 9, 9, 9]), 0n, 1),
    frame(PacketType.read, 2, 'long handle', 0n, 1),
    frame(PacketType.read, 2, directory, 0n, 1),
    frame(PacketType.write, 2, directory, 0n, Buffer.from('x')),
    frame(PacketType.readdir, 2, file),
    frame(PacketType.fstat, 2, directory),
  ];
  for (const request of requests) assert.equal(statusOf((await ask(channel, request))[0]), SftpStatus.failure);
  assert.equal(statusOf((await ask(channel, frame(PacketType.close, 3, file)))[0]), SftpStatus.ok);
  assert.equal(statusOf((await ask(channel, frame(PacketType.close, 4, file)))[0]), SftpStatus.failure);
});

test('refuses the 257th handle and gives its place back', async () => {
  const { channel } = await start();
  let last = Buffer.alloc(0);
  for (let count = 0; count < 256; count++) last = Buffer.from(await openHandle(channel, `/f${count}`));
  const [refused] = await ask(channel, frame(PacketType.open, 5, '/one-more', WRITE | CREATE, 0));
  assert.equal(statusOf(refused), SftpStatus.failure);
  assert.match(statusMessage(refused), /at most 256/);
  await ask(channel, frame(PacketType.close, 6, last));
  await openHandle(channel, '/one-more');
});

test('CLOSE waits for the earlier WRITEs of its handle', async () => {
  const backend = new SlowBackend();
  const { channel } = await start({ backend });
  const handle = await openHandle(channel, '/f');
  await ask(
    channel,
    frame(PacketType.write, 2, handle, 0n, Buffer.from('a')),
    frame(PacketType.write, 3, handle, 1n, Buffer.from('b')),
    frame(PacketType.close, 4, handle),
  );
  assert.deepEqual(backend.log, ['write 0', 'write 1']);
  backend.releaseOldest();
  assert.deepEqual(
    (await channel.packets()).map((packet) => packet.id),
    [2],
  );
  backend.releaseOldest();
  assert.deepEqual(
    (await channel.packets()).map((packet) => packet.id),
    [3],
  );
  assert.deepEqual(backend.log, ['write 0', 'write 1', 'close']);
  backend.releaseOldest();
  assert.deepEqual(
    (await channel.packets()).map((packet) => packet.id),
    [4],
  );
});

test('a RENAME waits for the CLOSE of its file; other files do not', async () => {
  const backend = new SlowBackend();
  backend.put('/f', Buffer.from('x'));
  backend.put('/g', Buffer.from('x'));
  const { channel } = await start({ backend });
  const handle = await openHandle(channel, '/f');
  await ask(channel, frame(PacketType.close, 2, handle), frame(PacketType.rename, 3, '/f', '/h'), frame(PacketType.rename, 4, '/g', '/i'));
  assert.equal(backend.content('/h'), undefined);
  assert.notEqual(backend.content('/i'), undefined);
  backend.releaseOldest();
  assert.deepEqual(
    (await channel.packets()).map((packet) => packet.id),
    [2, 3],
  );
  assert.notEqual(backend.content('/h'), undefined);
});

test('keeps at most 64 requests in flight and gives window back only for what is settled', async () => {
  const backend = new SlowBackend();
  const { channel } = await start({ backend });
  const handle = await openHandle(channel, '/f');
  const before = channel.credited;
  const request = frame(PacketType.write, 2, handle, 0n, Buffer.alloc(1000));
  await ask(channel, Buffer.concat(Array.from({ length: 100 }, () => request)));
  assert.equal(backend.log.length, 64);
  assert.equal(channel.credited, before);
  backend.releaseOldest();
  await channel.packets();
  assert.equal(backend.log.length, 65);
  assert.equal(channel.credited, before + request.length);
});

test('bounds the output of 100,000 pipelined READs of 4 GiB whose client does not read', async () => {
  const backend = new MemoryBackend();
  backend.put('/f', Buffer.alloc(4 << 20));
  const { channel } = await start({ backend });
  const handle = await openHandle(channel, '/f', READ);
  const request = frame(PacketType.read, 2, handle, 0n, 0xffffffff);
  channel.windowOpen = false;
  const all = Buffer.concat(Array.from({ length: 100_000 }, () => request));
  const memory = process.memoryUsage().rss;
  for (let at = 0; at < all.length; at += 32_768) channel.data(all.subarray(at, at + 32_768));
  await channel.packets();
  assert.ok(channel.maxQueuedBytes > 0);
  assert.ok(channel.maxQueuedBytes <= 4 * 1024 * 1024 + 256 * 1024, `${channel.maxQueuedBytes} bytes queued`);
  assert.ok(process.memoryUsage().rss - memory < 32 * 1024 * 1024);
  const before = channel.credited;
  channel.takeQueued();
  await channel.packets();
  assert.ok(channel.credited > before, 'goes on when the client reads');
});

test('refuses offsets beyond 2^53 - 1', async () => {
  const { channel } = await start();
  const handle = await openHandle(channel, '/f');
  for (const request of [frame(PacketType.read, 2, handle, 2n ** 63n, 1), frame(PacketType.write, 2, handle, 2n ** 53n - 1n, Buffer.from('x'))]) {
    assert.equal(statusOf((await ask(channel, request))[0]), SftpStatus.badMessage);
  }
});

test('at the end of the channel finishes what is in flight, gives up what is open, then exits', async () => {
  const backend = new SlowBackend();
  const { channel, state } = await start({ backend });
  const handle = await openHandle(channel, '/f');
  await ask(channel, frame(PacketType.write, 2, handle, 0n, Buffer.from('a')));
  channel.end();
  assert.equal(channel.state, 'open');
  backend.releaseOldest();
  assert.equal(statusOf((await channel.packets())[0]), SftpStatus.ok);
  assert.deepEqual([channel.state, backend.log.at(-1), backend.ended, state.ended], ['finished', 'abandon', 1, 1]);
});

test('a lost channel abandons open files at once and those being opened when they are', async () => {
  const backend = new MemoryBackend();
  const { channel } = await start({ backend });
  await openHandle(channel, '/f');
  channel.data(frame(PacketType.open, 2, '/g', WRITE | CREATE, 0));
  channel.closed();
  assert.equal(backend.calls.at(-1), 'abandon /f');
  assert.equal(backend.ended, 0);
  await channel.packets();
  assert.equal(backend.calls.at(-1), 'abandon /g');
  assert.equal(backend.ended, 1);
});

test('asks the gate once for each request, with normalised paths, and answers with its refusal', async () => {
  const asked: GateRequest[] = [];
  const { channel } = await start({
    gate: (request) => {
      asked.push(request);
      return new SftpError(SftpStatus.permissionDenied, 'not yours');
    },
  });
  const requests = [
    frame(PacketType.open, 1, 'a/../b', READ | WRITE, 0),
    frame(PacketType.remove, 1, '/../c'),
    frame(PacketType.rename, 1, '/d/.', '//e'),
    frame(PacketType.extended, 1, 'posix-rename@openssh.com', '/d', '/e'),
    frame(PacketType.opendir, 1, ''),
    frame(PacketType.mkdir, 1, '/m', 0),
    frame(PacketType.rmdir, 1, '/m'),
    frame(PacketType.setstat, 1, '/m', 0),
    frame(PacketType.stat, 1, '/m'),
    frame(PacketType.lstat, 1, '/m'),
    frame(PacketType.realpath, 1, '.'),
  ];
  for (const request of requests) {
    const [reply] = await ask(channel, request);
    assert.equal(statusOf(reply), SftpStatus.permissionDenied);
    assert.equal(statusMessage(reply), 'not yours');
  }
  assert.deepEqual(
    asked.map(({ name, writes, permissions, path, target }) => [name, writes, permissions.join('+'), path, target]),
    [
      ['OPEN', true, 'Read+Write', '/b', undefined],
      ['REMOVE', true, 'Delete', '/c', undefined],
      ['RENAME', true, 'Rename', '/d', '/e'],
      ['posix-rename@openssh.com', true, 'Rename', '/d', '/e'],
      ['OPENDIR', false, 'List', '/', undefined],
      ['MKDIR', true, 'MakeDirectory', '/m', undefined],
      ['RMDIR', true, 'RemoveDirectory', '/m', undefined],
      ['SETSTAT', true, 'SetAttributes', '/m', undefined],
      ['STAT', false, '', '/m', undefined],
      ['LSTAT', false, '', '/m', undefined],
      ['REALPATH', false, '', '/', undefined],
    ],
  );
});

test('says why a path is refused', async () => {
  const { channel } = await start();
  const [reading] = await ask(channel, frame(PacketType.stat, 1, Buffer.from([0x2f, 0xff])));
  assert.equal(statusOf(reading), SftpStatus.noSuchFile);
  assert.match(statusMessage(reading), /UTF-8/);
  const [writing] = await ask(channel, frame(PacketType.mkdir, 1, '/a\\b', 0));
  assert.equal(statusOf(writing), SftpStatus.badMessage);
  assert.match(statusMessage(writing), /backslash/);
});

test('hides unexpected errors', async () => {
  const backend = new MemoryBackend();
  backend.stat = async () => {
    throw new Error('secret connection string');
  };
  const { channel } = await start({ backend });
  const [reply] = await ask(channel, frame(PacketType.stat, 1, '/'));
  assert.equal(statusOf(reply), SftpStatus.failure);
  assert.equal(statusMessage(reply), 'internal error');
});

test('lists a large directory in bounded replies', async () => {
  const backend = new MemoryBackend();
  for (let count = 0; count < 1000; count++) backend.put(`/file-${count}`, Buffer.from('x'));
  const { channel } = await start({ backend });
  const [opened] = await ask(channel, frame(PacketType.opendir, 1, '/'));
  const handle = opened?.body.subarray(4) ?? Buffer.alloc(0);
  let total = 0;
  for (;;) {
    const [reply] = await ask(channel, frame(PacketType.readdir, 2, handle));
    if (reply?.type !== PacketType.name) {
      assert.equal(statusOf(reply), SftpStatus.eof);
      break;
    }
    assert.ok(reply.body.length < 32_768);
    total += reply.body.readUInt32BE(0);
  }
  assert.equal(total, 1000);
});
