import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureRate } from './failure-rate.ts';

function rate() {
  let now = 0;
  const subject = new FailureRate({ now: () => new Date(0), monotonicMs: () => now });
  const admitted = (address: string, tries: number) => Array.from({ length: tries }, () => subject.admit(address)).filter(Boolean).length;
  return { admitted, pass: (ms: number) => (now += ms) };
}

test('one source is told of ten times at once, and then ten times a minute', () => {
  const { admitted, pass } = rate();
  assert.equal(admitted('192.0.2.1', 1_000), 10);
  pass(60_000);
  assert.equal(admitted('192.0.2.1', 1_000), 10);
});

test('a source that tries all the time takes nothing from the others', () => {
  const { admitted } = rate();
  admitted('192.0.2.1', 100_000);
  assert.equal(admitted('192.0.2.2', 1), 1);
});

test('a host that takes addresses of its IPv6 network is one source', () => {
  const { admitted } = rate();
  const told = Array.from({ length: 500 }, (_, index) => admitted(`2001:db8::${(index + 1).toString(16)}`, 1));
  assert.equal(told.filter((count) => count > 0).length, 10);
});

test('many sources together are told of a hundred times at once, and then ten times a second', () => {
  const { admitted, pass } = rate();
  const botnet = () => Array.from({ length: 10_000 }, (_, index) => admitted(`198.51.${index >> 8}.${index & 255}`, 1)).filter((count) => count > 0).length;
  assert.equal(botnet(), 100);
  pass(1_000);
  assert.equal(botnet(), 10);
});
