import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SftpStatus } from '../sftp-error.ts';
import { cutPackets, statusMessage, statusOf } from '../testing/sftp-frames.ts';
import { encodeAttributes, readAttributes } from './attributes.ts';
import { BodyReader, MalformedRequestError } from './body-reader.ts';
import { longName } from './long-name.ts';
import { encodeStatus } from './replies.ts';

const uint32 = fc.integer({ min: 0, max: 0xffffffff });

test('attributes survive their wire form', () => {
  const attributes = fc.record(
    { sizeBytes: fc.maxSafeNat(), owner: fc.record({ uid: uint32, gid: uint32 }), mode: uint32, times: fc.record({ accessedAt: uint32, modifiedAt: uint32 }) },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(attributes, ({ owner, times, ...rest }) => {
      const value = { ...rest, ...owner, ...times };
      assert.deepEqual(readAttributes(new BodyReader(encodeAttributes(value))), value);
    }),
  );
});

test('attributes never read past the end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        readAttributes(new BodyReader(Buffer.from(bytes)));
      } catch (error) {
        assert.ok(error instanceof MalformedRequestError);
      }
    }),
    { numRuns: 2000 },
  );
});

test('a size above 2^53 - 1 is refused', () => {
  const wire = Buffer.alloc(12);
  wire.writeUInt32BE(1, 0);
  wire.writeBigUInt64BE(2n ** 53n, 4);
  assert.throws(() => readAttributes(new BodyReader(wire)), MalformedRequestError);
});

test('a status carries its text', () => {
  const [packet] = cutPackets(encodeStatus(7, SftpStatus.permissionDenied, 'no: ö')).packets;
  assert.equal(packet?.id, 7);
  assert.equal(statusOf(packet), SftpStatus.permissionDenied);
  assert.equal(statusMessage(packet), 'no: ö');
});

test('the long name looks like a line of ls -l', () => {
  const now = Date.UTC(2026, 5, 1) / 1000;
  const file = { name: 'a b', attributes: { mode: 0o100640, sizeBytes: 12, modifiedAt: Date.UTC(2026, 4, 3, 4, 5) / 1000 } };
  assert.equal(longName(file, now), '-rw-r----- 1 0        0                  12 May  3 04:05 a b');
  const old = { name: 'd', attributes: { mode: 0o040755, modifiedAt: Date.UTC(2024, 11, 24) / 1000 } };
  assert.equal(longName(old, now), 'drwxr-xr-x 1 0        0                   0 Dec 24  2024 d');
});
