import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/compile';
import { eventSchema, toEventReference } from './event-reference.ts';
import { EVENT_TYPES, type EventType } from './event-types.ts';
import type { FileEvent } from './file-event.ts';
import { parseSkiffEvent } from './parse-file-event.ts';

const event: FileEvent = {
  specversion: '1.0',
  id: 'skf-1',
  source: '/skiff/team/main',
  type: 'dev.skiff.file.uploaded',
  subject: 'ann/f',
  time: '2026-01-01T00:00:00.000Z',
  datacontenttype: 'application/json',
  sequence: '00000000000000000001',
  data: {
    operationId: '1',
    endpoint: { namespace: 'team', name: 'main' },
    username: 'ann',
    path: '/f',
    sizeBytes: 1,
    blob: { container: 'c', name: 'ann/f', url: 'https://example.org/c/ann/f' },
  },
};

test('the schema of a type takes its events and refuses those of others and incomplete ones', () => {
  const uploaded = Compile(eventSchema('dev.skiff.file.uploaded'));
  assert.equal(uploaded.Check(event), true);
  assert.equal(Compile(eventSchema('dev.skiff.file.renamed')).Check(event), false);
  const { sizeBytes: _size, ...data } = event.data;
  assert.equal(uploaded.Check({ ...event, data }), false);
});

test('the example in each schema is one of its type, and of no other', () => {
  for (const type of EVENT_TYPES) {
    const [example, ...more] = examplesOf(type);
    assert.deepEqual(more, []);
    assert.notEqual(parseSkiffEvent(example), undefined, type);
    assert.deepEqual(
      EVENT_TYPES.filter((other) => Compile(eventSchema(other)).Check(example)),
      [type],
    );
  }
});

function examplesOf(type: EventType): readonly unknown[] {
  const { examples } = eventSchema(type);
  assert.ok(Array.isArray(examples));
  return examples;
}

test('the reference names every type', () => {
  const page = toEventReference();
  for (const type of EVENT_TYPES) assert.ok(page.includes(`| [\`${type}\``), type);
});
