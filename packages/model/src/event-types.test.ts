import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_TYPES, emitsEvent, isBestEffort } from './event-types.ts';

test('an endpoint that selects nothing emits what is guaranteed, and no downloads and logins', () => {
  assert.deepEqual(
    EVENT_TYPES.filter((type) => !emitsEvent(undefined, type)),
    ['dev.skiff.file.downloaded', 'dev.skiff.login.succeeded', 'dev.skiff.login.failed'],
  );
  assert.ok(emitsEvent(undefined, 'dev.skiff.directory.somethinglater'), 'a change that a later version began is not lost by this one');
});

test('a selection is all there is', () => {
  for (const selected of EVENT_TYPES)
    assert.deepEqual(
      EVENT_TYPES.filter((type) => emitsEvent([selected], type)),
      [selected],
    );
  assert.ok(EVENT_TYPES.every((type) => !emitsEvent([], type)));
});

test('best effort are those that change nothing', () => {
  assert.ok(EVENT_TYPES.every((type) => isBestEffort(type) === /downloaded|login/.test(type)));
});
