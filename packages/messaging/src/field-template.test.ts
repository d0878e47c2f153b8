import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeTopicField, encodeUrlField, FieldTemplateError, parseFieldTemplate } from './field-template.ts';

const input = (json: unknown) => ({ eventId: 'e', event: undefined, body: Buffer.from(JSON.stringify(json)), contentType: 'application/json', attempt: 1 });

describe('field template', () => {
  it('puts fields of the message in place and leaves everything else', () => {
    const template = parseFieldTemplate('/a/{x.y}/{+p}?n={n}&{not a field}&{"json":1}', encodeUrlField);
    assert.equal(template.render(input({ x: { y: 'ü/ä' }, p: '/in/a b.csv', n: 3 })), '/a/%C3%BC%2F%C3%A4//in/a%20b.csv?n=3&{not a field}&{"json":1}');
  });

  it('fails for fields that are missing, inherited or no scalars', () => {
    for (const field of ['a', 'x.a', 'toString', 'constructor.name', 'x', 'list.length', 'nothing', '__proto__']) {
      assert.throws(() => parseFieldTemplate(`{${field}}`, encodeUrlField).render(input({ x: {}, list: [1], nothing: null })), FieldTemplateError, field);
    }
    assert.throws(() => parseFieldTemplate('{a}', encodeUrlField).render(input({ a: 'x'.repeat(9000) })), FieldTemplateError);
  });

  it('lets no value out of its URL segment', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const encoded = parseFieldTemplate('{v}', encodeUrlField).render(input({ v: value }));
        assert.match(encoded, /^[A-Za-z0-9._~%-]*$/);
        assert.equal(decodeURIComponent(encoded), value.toWellFormed());
      }),
    );
  });

  it('lets no value out of its topic level', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const encoded = encodeTopicField(value.toWellFormed(), false);
        assert.doesNotMatch(encoded, /[/+#\u0000-\u001f]/);
        assert.equal(decodeURIComponent(encoded.replace(/[^\x20-\x7e]/gu, encodeURIComponent)), value.toWellFormed());
      }),
    );
  });
});
