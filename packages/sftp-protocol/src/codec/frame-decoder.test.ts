import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frame } from '../testing/sftp-frames.ts';
import { FrameDecoder, FrameError, type WriteFrame } from './frame-decoder.ts';
import { MAX_FRAME_BYTES, PacketType } from './packet-type.ts';

type Seen = { readonly type: number; readonly body: string } | { readonly write: string };

class Recorder {
  readonly seen: Seen[] = [];
  frameBytes = 0;
  paused = false;

  frame(type: number, body: Buffer, frameBytes: number): void {
    this.seen.push({ type, body: body.toString('hex') });
    this.frameBytes += frameBytes;
  }

  write(write: WriteFrame): void {
    const { body } = write;
    this.seen.push({
      write: body === undefined ? `${write.id} bad` : `${write.id} ${body.handle} ${body.offset} ${Buffer.concat([...body.parts]).toString('hex')}`,
    });
    this.frameBytes += write.frameBytes;
  }
}

function decodeAll(chunks: readonly Buffer[]): Recorder {
  const recorder = new Recorder();
  const decoder = new FrameDecoder(recorder);
  for (const chunk of chunks) assert.equal(decoder.decode(chunk, 0), chunk.length);
  return recorder;
}

const anyFrame = fc.oneof(
  fc
    .record({ type: fc.integer({ min: 0, max: 255 }).filter((type) => type !== PacketType.write), body: fc.uint8Array({ maxLength: 300 }) })
    .map(({ type, body }) => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(body.length + 1, 0);
      head.writeUInt8(type, 4);
      return Buffer.concat([head, body]);
    }),
  fc
    .record({ id: fc.nat(), handle: fc.uint8Array({ maxLength: 256 }), offset: fc.maxSafeNat(), data: fc.uint8Array({ maxLength: 300 }) })
    .map(({ id, handle, offset, data }) => frame(PacketType.write, id, Buffer.from(handle), BigInt(offset), Buffer.from(data))),
);

test('gives the same frames however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 8 }), fc.array(fc.nat(400), { maxLength: 20 }), (frames, cuts) => {
      const stream = Buffer.concat(frames);
      const chunks: Buffer[] = [];
      let at = 0;
      for (const cut of cuts) {
        chunks.push(stream.subarray(at, at + cut));
        at = Math.min(stream.length, at + cut);
      }
      chunks.push(stream.subarray(at));
      const whole = decodeAll([stream]);
      assert.deepEqual(decodeAll(chunks).seen, whole.seen);
      assert.equal(whole.seen.length, frames.length);
      assert.equal(whole.frameBytes, stream.length);
    }),
    { numRuns: 500 },
  );
});

test('gives the payload of a WRITE as views of the input', () => {
  const recorder = new (class extends Recorder {
    parts: readonly Buffer[] = [];
    override write(write: WriteFrame): void {
      this.parts = write.body?.parts ?? [];
    }
  })();
  const stream = frame(PacketType.write, 1, Buffer.alloc(4), 7n, Buffer.alloc(1000, 'x'));
  const decoder = new FrameDecoder(recorder);
  decoder.decode(stream.subarray(0, 500), 0);
  decoder.decode(stream.subarray(500), 0);
  assert.equal(recorder.parts.length, 2);
  assert.ok(recorder.parts.every((part) => part.buffer === stream.buffer));
});

for (const length of [0, MAX_FRAME_BYTES + 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
  test(`refuses a frame of length ${length}`, () => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length, 0);
    assert.throws(() => new FrameDecoder(new Recorder()).decode(head, 0), FrameError);
  });
}

test('gives a contradictory WRITE without a body and goes on with the next frame', () => {
  const tooMuch = frame(PacketType.write, 5, Buffer.alloc(4), 0n, 100_000);
  const longHandle = frame(PacketType.write, 6, Buffer.alloc(257), 0n, Buffer.from('x'));
  const beyond = frame(PacketType.write, 7, Buffer.alloc(4), 2n ** 53n, Buffer.from('x'));
  const cut = frame(PacketType.write, 8, 4);
  const onlyId = frame(PacketType.write, 9);
  const good = frame(PacketType.stat, 10, '/a');
  const { seen } = decodeAll([tooMuch, longHandle, beyond, cut, onlyId, good]);
  assert.deepEqual(seen.slice(0, 5), [{ write: '5 bad' }, { write: '6 bad' }, { write: '7 bad' }, { write: '8 bad' }, { write: '9 bad' }]);
  assert.equal(seen.length, 6);
});

test('keeps offsets exact up to 2^53 - 1', () => {
  const { seen } = decodeAll([frame(PacketType.write, 1, Buffer.from([0, 0, 0, 9]), 2n ** 53n - 2n, Buffer.from('x'))]);
  assert.deepEqual(seen, [{ write: '1 9 9007199254740990 78' }]);
});

test('stops after a frame when paused', () => {
  const recorder = new Recorder();
  recorder.paused = true;
  const one = frame(PacketType.stat, 1, '/a');
  assert.equal(new FrameDecoder(recorder).decode(Buffer.concat([one, one]), 0), one.length);
  assert.equal(recorder.seen.length, 1);
});
