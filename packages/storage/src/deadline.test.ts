import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import { withDeadline } from './deadline.ts';

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('ended by the vendor')), { once: true }));
const failsWith = (code: string) => (error: unknown) => error instanceof StoreError && error.code === code;

test('tells the caller its own abort from a timeout', async () => {
  await assert.rejects(withDeadline(AbortSignal.timeout(10), 10_000, untilAborted), failsWith('aborted'));
  await assert.rejects(withDeadline(AbortSignal.timeout(10_000), 10, untilAborted), failsWith('unavailable'));
});

test('does not begin when the signal has ended already', async () => {
  await assert.rejects(
    withDeadline(AbortSignal.abort(), 1000, () => assert.fail('began')),
    failsWith('aborted'),
  );
});

test('leaves no listener on a signal that outlives the call', async () => {
  const { signal } = new AbortController();
  for (let i = 0; i < 20; i++) await withDeadline(signal, 1000, async () => i);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('hands on what the call itself threw', async () => {
  const failure = new Error('its own');
  await assert.rejects(
    withDeadline(new AbortController().signal, 1000, () => Promise.reject(failure)),
    (error) => error === failure,
  );
});
