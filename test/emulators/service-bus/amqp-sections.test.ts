import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import rhea from 'rhea';
import { decodeMessage, withProperties } from './amqp-message.ts';
import { bareMessage, dataPayloads, headOfMessage, splitSections } from './amqp-sections.ts';
import { durationMs, toDuration } from './entity-config.ts';

const message = fc.record({
  message_id: fc.string(),
  durable: fc.boolean(),
  ttl: fc.integer({ min: 1, max: 1_000_000 }),
  message_annotations: fc.dictionary(fc.string({ minLength: 1 }), fc.string()),
  application_properties: fc.dictionary(
    fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
    fc.oneof(fc.string(), fc.boolean(), fc.integer()),
  ),
  body: fc.uint8Array({ maxLength: 70_000 }).map((bytes) => rhea.message.data_section(Buffer.from(bytes))),
});

describe('AMQP sections', () => {
  test('head and bare message together are the message', () => {
    fc.assert(
      fc.property(message, (fields) => {
        const encoded = rhea.message.encode(fields);
        assert.ok(Buffer.concat([headOfMessage(encoded), bareMessage(encoded)]).equals(encoded));
      }),
    );
  });

  test('added properties are there and everything else is unchanged', () => {
    fc.assert(
      fc.property(message, fc.string(), (fields, reason) => {
        const bare = bareMessage(rhea.message.encode(fields));
        const changed = withProperties(bare, { DeadLetterReason: reason });
        assert.deepEqual(decodeMessage(changed).applicationProperties, { ...fields.application_properties, DeadLetterReason: reason });
        assert.deepEqual(dataPayloads(changed), dataPayloads(bare));
        assert.equal(decodeMessage(changed).messageId, fields.message_id);
      }),
    );
  });

  test('arbitrary bytes are either split whole or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const input = Buffer.from(bytes);
        try {
          assert.ok(Buffer.concat(splitSections(input).map((section) => section.bytes)).equals(input));
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
        }
      }),
    );
  });

  test('durations read back as written, and what is none is refused', () => {
    fc.assert(fc.property(fc.nat(1_000_000_000), (ms) => assert.equal(durationMs(toDuration(ms)), ms)));
    assert.equal(durationMs('P1DT2H3M4.5S'), 93_784_500);
    for (const text of ['', 'P', 'PT', 'PT1', '1S', 'P1H']) assert.throws(() => durationMs(text), RangeError);
  });
});
