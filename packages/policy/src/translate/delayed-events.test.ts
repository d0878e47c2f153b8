import assert from 'node:assert/strict';
import { test } from 'node:test';
import { delayedEvents } from './delayed-events.ts';

test('events are late after a minute, or refused, and what waits matters more', () => {
  const reasonOf = (oldestAgeMs: number, refused: number) => delayedEvents({ oldestAgeMs, refused })?.reason;
  assert.deepEqual([reasonOf(0, 0), reasonOf(60_000, 0), reasonOf(60_001, 0)], [undefined, undefined, 'EventsWaiting']);
  assert.deepEqual([reasonOf(0, 1), reasonOf(60_001, 1)], ['EventsRefused', 'EventsWaiting']);
});

test('the message is the same however long events wait and however many were refused', () => {
  assert.deepEqual(delayedEvents({ oldestAgeMs: 60_001, refused: 0 }), delayedEvents({ oldestAgeMs: 86_400_000, refused: 9 }));
  assert.deepEqual(delayedEvents({ oldestAgeMs: 0, refused: 1 }), delayedEvents({ oldestAgeMs: 59_000, refused: 2 }));
});
