import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FileEvent } from '@skiff/model/file-event';
import fc from 'fast-check';
import { encodeHeaderValue, encodeRequest } from './cloud-event-request.ts';

const event: FileEvent = {
  specversion: '1.0',
  id: 'skf-1',
  source: '/skiff/team/main',
  type: 'dev.skiff.file.uploaded',
  subject: 'in/Zürich 100%.csv',
  time: '2026-01-01T00:00:00Z',
  datacontenttype: 'application/json',
  sequence: '00000000000000000007',
  data: {
    operationId: '1',
    endpoint: { namespace: 'team', name: 'main' },
    username: 'anna',
    path: '/in/Zürich 100%.csv',
    blob: { container: 'c', name: 'in/x', url: 'https://x' },
  },
};
const input = { eventId: 'skf-1', event, body: Buffer.from(JSON.stringify(event)), contentType: 'application/cloudevents+json', attempt: 1 };

describe('CloudEvents over HTTP', () => {
  it('sends the bytes as they came in structured mode', () => {
    const request = encodeRequest(input, 'Structured');
    assert.equal(request.headers['content-type'], 'application/cloudevents+json; charset=utf-8');
    assert.equal(request.body, input.body);
  });

  it('puts every attribute into a header and the data into the body in binary mode', () => {
    const request = encodeRequest(input, 'Binary');
    assert.deepEqual(request.headers, {
      'content-type': 'application/json',
      'ce-specversion': '1.0',
      'ce-id': 'skf-1',
      'ce-source': '/skiff/team/main',
      'ce-type': 'dev.skiff.file.uploaded',
      'ce-subject': 'in/Z%C3%BCrich%20100%25.csv',
      'ce-time': '2026-01-01T00:00:00Z',
      'ce-sequence': '00000000000000000007',
    });
    assert.deepEqual(JSON.parse(request.body.toString()), event.data);
  });

  it('passes other JSON on as it came, without trusting its content type', () => {
    const other = { ...input, event: undefined, body: Buffer.from('{"a":1}') };
    assert.equal(encodeRequest({ ...other, contentType: 'application/vnd.x+json' }, 'Binary').headers['content-type'], 'application/vnd.x+json');
    assert.equal(encodeRequest({ ...other, contentType: 'a\r\nx: y' }, 'Binary').headers['content-type'], 'application/json');
    assert.equal(encodeRequest(other, 'Structured').body, other.body);
  });

  it('encodes any text to printable ASCII that one percent-decoding gives back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const encoded = encodeHeaderValue(text);
        assert.match(encoded, /^[\x21-\x7e]*$/);
        assert.doesNotMatch(encoded, /"/);
        assert.equal(decodeURIComponent(encoded), text.toWellFormed());
      }),
    );
  });
});
