import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { amqpFrameSizes, type FrameSizes, mqttPacketSizes } from './frame-sizes.ts';

const MAX = 300;
const PROTOCOL_HEADER = Buffer.from('AMQP\0\x01\0\0', 'latin1');

function amqpFrame(restBytes: number): Buffer {
  const frame = Buffer.alloc(4 + Math.min(restBytes, MAX));
  frame.writeUInt32BE(restBytes + 4);
  return frame;
}

function mqttPacket(restBytes: number): Buffer {
  const size: number[] = [];
  for (let left = restBytes; ; left = Math.floor(left / 128)) {
    size.push((left % 128) | (left >= 128 ? 0x80 : 0));
    if (left < 128) break;
  }
  return Buffer.concat([Buffer.from([0x40, ...size]), Buffer.alloc(Math.min(restBytes, MAX))]);
}

/** The answers to the bytes, cut up at the given places. */
function answers(sizes: FrameSizes, bytes: Buffer, cuts: readonly number[]): readonly boolean[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => sizes.accept(bytes.subarray(places[index], end)));
}

const kinds = [
  { name: 'AMQP', make: amqpFrameSizes, frame: amqpFrame, start: PROTOCOL_HEADER },
  { name: 'MQTT', make: mqttPacketSizes, frame: mqttPacket, start: Buffer.alloc(0) },
];
const lengths = fc.array(fc.integer({ min: 4, max: MAX }), { minLength: 1, maxLength: 20 });
const cuts = fc.array(fc.nat(), { maxLength: 10 });

for (const { name, make, frame, start } of kinds) {
  describe(`${name} frame sizes`, () => {
    it('lets every frame through that is small enough, however the bytes are cut up', () => {
      fc.assert(
        fc.property(lengths, cuts, (sizes, at) => {
          assert.ok(answers(make(MAX), Buffer.concat([start, ...sizes.map(frame)]), at).every(Boolean));
        }),
      );
    });

    it('refuses a larger one as soon as its size is known, and all that follows', () => {
      fc.assert(
        fc.property(lengths, cuts, fc.integer({ min: MAX + 1, max: 200_000_000 }), (sizes, at, large) => {
          const watched = make(MAX);
          assert.ok(answers(watched, Buffer.concat([start, ...sizes.map(frame)]), at).every(Boolean));
          assert.equal(watched.accept(frame(large).subarray(0, 5)), false);
          assert.equal(watched.accept(frame(4)), false);
        }),
      );
    });
  });
}

it('refuses what is no frame', () => {
  assert.equal(amqpFrameSizes(MAX).accept(Buffer.from([0, 0, 0, 3])), false);
  assert.equal(mqttPacketSizes(MAX).accept(Buffer.from([0x40, 0xff, 0xff, 0xff, 0xff])), false);
  assert.equal(amqpFrameSizes(2 ** 20).accept(Buffer.from('HTTP/1.1 400 Bad Request')), false);
});
