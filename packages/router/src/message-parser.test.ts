import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MAX_MESSAGE_BYTES, parseMessage } from './message-parser.ts';
import { fileEvent } from './router-rig.fake.ts';

const parse = (body: Buffer | string, messageId?: string) => parseMessage({ body: Buffer.from(body), contentType: 'text/x', messageId });

describe('message parser', () => {
  it('recognises an event of ours whatever the message says about itself', () => {
    const parsed = parse(JSON.stringify(fileEvent('skf-1')), 'other');
    assert.ok(parsed.kind === 'routable');
    assert.equal(parsed.eventId, 'skf-1');
    assert.equal(parsed.event?.data.username, 'anna');
    assert.equal(parsed.contentType, 'application/cloudevents+json');
  });

  it('identifies other JSON by its message id, or by its content', () => {
    const byId = parse('{"a":1}', 'm-7');
    assert.ok(byId.kind === 'routable' && byId.event === undefined && byId.eventId === 'm-7' && byId.contentType === 'text/x');
    const [one, same, other] = ['[1]', '[1]', '[2]'].map((body) => parse(body));
    assert.deepEqual(one, same);
    assert.notDeepEqual(one, other);
  });

  it('gives every id at most 128 printable ASCII characters, the same for the same id', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }), (id) => {
        const parsed = parse('{}', id);
        assert.ok(parsed.kind === 'routable');
        assert.match(parsed.eventId, /^[\x21-\x7e]{1,128}$/);
        assert.deepEqual(parse('{}', id), parsed);
      }),
    );
  });

  it('keeps no content type that is not one', () => {
    for (const contentType of [undefined, '', 'x'.repeat(256), 'a\r\nb']) {
      const parsed = parseMessage({ body: Buffer.from('{}'), contentType, messageId: 'm' });
      assert.ok(parsed.kind === 'routable' && parsed.contentType === 'application/json');
    }
  });

  it('refuses what is not UTF-8 JSON, or too large, and never throws', () => {
    for (const body of ['', 'x', '{', Buffer.from([0x22, 0xff, 0x22]), Buffer.alloc(MAX_MESSAGE_BYTES + 1, 0x31)]) assert.equal(parse(body).kind, 'notAnEvent');
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parse(Buffer.from(bytes))));
  });
});
