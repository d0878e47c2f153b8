import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@skiff/runtime/logger';
import { PacketType } from '../codec/packet-type.ts';
import { FakeChannel } from '../testing/fake-channel.ts';
import { MemoryBackend } from '../testing/memory-backend.ts';
import { frame } from '../testing/sftp-frames.ts';
import { DEFAULT_SFTP_LIMITS, FlowBudget } from './flow-budget.ts';
import { SftpSession } from './sftp-session.ts';

const FRAMES = 50_000;
const HANDLE = Buffer.from([0, 0, 0, 1]);

const SEEDS: readonly Buffer[] = [
  frame(PacketType.init, 3),
  frame(PacketType.open, 1, '/a', 0x1b, 0),
  frame(PacketType.close, 2, HANDLE),
  frame(PacketType.read, 3, HANDLE, 0n, 4096),
  frame(PacketType.write, 4, HANDLE, 5n, Buffer.from('some data to write')),
  frame(PacketType.lstat, 5, '/a'),
  frame(PacketType.fstat, 6, HANDLE),
  frame(PacketType.setstat, 7, '/a', 4, 0o644),
  frame(PacketType.fsetstat, 8, HANDLE, 1, 10n),
  frame(PacketType.opendir, 9, '/'),
  frame(PacketType.readdir, 10, HANDLE),
  frame(PacketType.remove, 11, '/a'),
  frame(PacketType.mkdir, 12, '/d', 0),
  frame(PacketType.rmdir, 13, '/d'),
  frame(PacketType.realpath, 14, '/a/../b'),
  frame(PacketType.stat, 15, '/a'),
  frame(PacketType.rename, 16, '/a', '/b'),
  frame(PacketType.readlink, 17, '/a'),
  frame(PacketType.symlink, 18, '/a', '/b'),
  frame(PacketType.extended, 19, 'posix-rename@openssh.com', '/a', '/b'),
  frame(PacketType.extended, 20, 'limits@openssh.com'),
  frame(PacketType.extended, 21, 'unknown@example.com', Buffer.alloc(40)),
  frame(PacketType.status, 22, 0),
];

/** xorshift32: the run can be repeated from its seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function mutate(original: Buffer, random: (below: number) => number): Buffer {
  const bytes = Buffer.from(original);
  // Bytes after the length are changed more often, so that most mutants get past the frame's own bounds.
  for (let count = random(4); count >= 0; count--) bytes[random(8) === 0 ? random(bytes.length) : 4 + random(bytes.length - 4)] = random(256);
  if (random(6) === 0) bytes.writeUInt32BE(random(300), 0);
  if (random(6) === 0) return bytes.subarray(0, random(bytes.length));
  if (random(6) === 0) return Buffer.concat([bytes, Buffer.alloc(random(40), random(256))]);
  return bytes;
}

test(`${FRAMES} mutated frames of all types: none uncaught, memory bounded, every backend ended once`, async (context) => {
  const seed = Number(process.hrtime.bigint() & 0x7fffffffn);
  context.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const memory = process.memoryUsage().rss;
  let sessions = 0;
  let ended = 0;
  const open = () => {
    sessions++;
    const channel = new FakeChannel();
    const session = new SftpSession({
      channel,
      backend: new MemoryBackend(),
      limits: DEFAULT_SFTP_LIMITS,
      budget: new FlowBudget(DEFAULT_SFTP_LIMITS.maxInFlightBytes),
      logger: silentLogger,
      now: () => 0,
      onActivity: () => {},
      onEnd: () => ended++,
    });
    session.start();
    channel.data(frame(PacketType.init, 3), frame(PacketType.open, 1, '/a', 0x1b, 0));
    return channel;
  };
  let channel = open();
  for (let count = 0; count < FRAMES; count++) {
    const seedFrame = SEEDS[random(SEEDS.length)];
    assert.ok(seedFrame);
    channel.data(mutate(seedFrame, random));
    if (count % 16 === 0) await channel.packets();
    if (channel.state !== 'open' || count % 200 === 199) {
      channel.closed();
      await channel.packets();
      channel = open();
    }
  }
  channel.closed();
  await channel.packets();
  assert.equal(ended, sessions);
  assert.ok(process.memoryUsage().rss - memory < 64 * 1024 * 1024);
});
