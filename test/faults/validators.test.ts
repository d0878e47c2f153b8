import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attemptOf, contentOf } from './content.ts';
import type { Arrival, Attempt, History, Version } from './history.ts';
import { acknowledgedDurable, deliveryComplete, eventComplete, extras, isolation, noTorn, pathOrder, refusalsExplained, VALIDATORS } from './validators.ts';

const ONE = '1'.repeat(32);
const TWO = '2'.repeat(32);

function attempt(change: Partial<Attempt> = {}): Attempt {
  return { id: ONE, username: 'ann', path: '/f', blob: 'ann/f', sizeBytes: 100, startedMs: 0, endedMs: 10, outcome: 'acknowledged', reason: '', ...change };
}
function version(change: Partial<Version> = {}): Version {
  return { blob: 'ann/f', sizeBytes: 100, attempt: ONE, operationId: 'a', ...change };
}
function arrival(change: Partial<Arrival> = {}): Arrival {
  return { target: 't', id: 'skf-a', operationId: 'a', blob: 'ann/f', username: 'ann', sequence: '01', sizeBytes: 100, ...change };
}
const good: History = {
  attempts: [attempt()],
  readings: [],
  versions: [version()],
  arrivals: [arrival()],
  operations: [{ id: 'a', state: 'published', blob: 'ann/f', sequence: 1n }],
  targets: ['t'],
};

test('a history in which all went well satisfies every validator', () => {
  for (const [name, validate] of Object.entries(VALIDATORS)) assert.deepEqual(validate(good), [], name);
  assert.equal(extras(good), 0);
});

test('a mixture of two attempts is the content of none', () => {
  const [one, two] = [contentOf(ONE, 5000), contentOf(TWO, 5000)];
  assert.equal(attemptOf(one), ONE);
  assert.equal(attemptOf(Buffer.concat([one.subarray(0, 4096), two.subarray(4096)])), undefined);
  assert.equal(attemptOf(one.subarray(0, 10)), undefined);
});

test('an acknowledged file that is missing, torn or older than acknowledged is found', () => {
  assert.equal(acknowledgedDurable({ ...good, versions: [] }).length, 1);
  assert.equal(acknowledgedDurable({ ...good, versions: [version({ attempt: undefined })] }).length, 1);
  const older = {
    ...good,
    attempts: [attempt({ startedMs: 20, endedMs: 30 }), attempt({ id: TWO, outcome: 'unknown' })],
    versions: [version({ attempt: TWO })],
  };
  assert.equal(acknowledgedDurable(older).length, 1);
  const newer = { ...good, attempts: [attempt(), attempt({ id: TWO, startedMs: 5, endedMs: 15 })], versions: [version({ attempt: TWO })] };
  assert.deepEqual(acknowledgedDurable(newer), []);
});

test('torn, foreign and cut content is found, at the end and while the run goes on', () => {
  assert.equal(noTorn({ ...good, readings: [version({ attempt: undefined })] }).length, 1);
  assert.equal(noTorn({ ...good, versions: [version({ sizeBytes: 99 })] }).length, 1);
  assert.equal(noTorn({ ...good, versions: [version({ blob: 'ann/g' })] }).length, 1);
});

test('a lost event, a false one and a version without one are found', () => {
  assert.ok(eventComplete({ ...good, arrivals: [] }).length > 0);
  assert.equal(eventComplete({ ...good, operations: [{ id: 'a', state: 'aborted', blob: 'ann/f', sequence: 1n }] }).length, 1);
  assert.equal(eventComplete({ ...good, operations: [] }).length, 1);
  assert.equal(eventComplete({ ...good, versions: [version({ operationId: 'b' })] }).length, 1);
  const twice = {
    ...good,
    arrivals: [arrival(), arrival({ id: 'skf-b', operationId: 'b', sequence: '02' })],
    operations: [...good.operations, { id: 'b', state: 'published', blob: 'ann/f', sequence: 2n }],
  };
  assert.equal(eventComplete(twice).length, 1, 'two events of one attempt');
  const recorded = { ...good, operations: [...good.operations, { id: 'c', state: 'committed', blob: 'ann/f', sequence: 2n }] };
  assert.equal(eventComplete(recorded).length, 1);
});

test('an event without acknowledgement counts as an extra, not as an error', () => {
  const recovered = { ...good, attempts: [attempt({ outcome: 'unknown' })] };
  assert.deepEqual(eventComplete(recovered), []);
  assert.equal(extras(recovered), 1);
});

test('a delivery that came twice is no error, a missing one is', () => {
  assert.deepEqual(eventComplete({ ...good, arrivals: [arrival(), arrival()] }), []);
  assert.equal(deliveryComplete({ ...good, targets: ['t', 'u'] }).length, 1);
});

test('sequences that contradict what stands there, or are not unique, are found', () => {
  const arrivals = [arrival(), arrival({ id: 'skf-b', operationId: 'b', sequence: '02' })];
  assert.equal(pathOrder({ ...good, arrivals }).length, 1);
  assert.deepEqual(pathOrder({ ...good, arrivals, versions: [version({ operationId: 'b' })] }), []);
  assert.equal(pathOrder({ ...good, arrivals: [arrival(), arrival({ id: 'skf-b', blob: 'ann/g' })], versions: [] }).length, 1);
});

test('a file of nobody and an event for another user are found', () => {
  assert.equal(isolation({ ...good, versions: [version(), version({ blob: 'bob/f' })] }).length, 1);
  assert.equal(isolation({ ...good, arrivals: [arrival({ username: 'bob' })] }).length, 1);
});

test('a refusal without a reason is found', () => {
  assert.equal(refusalsExplained({ ...good, attempts: [attempt({ outcome: 'refused', reason: 'Failure' })] }).length, 1);
});
