import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createMemoryBus } from '@skiff/messaging/memory-bus';
import { MessagesRefusedError } from '@skiff/messaging/messages-refused-error';
import type { LoginEvent } from '@skiff/model/login-event';
import { StoreError } from '@skiff/model/store-error';
import { systemClock } from '@skiff/runtime/clock';
import { silentLogger } from '@skiff/runtime/logger';
import { BestEffortEvents, type BestEffortEventsProps, MAX_WAITING } from './best-effort-events.ts';

function login(id: string): LoginEvent {
  const data = { endpoint: { namespace: 'team', name: 'main' }, username: 'ann', clientAddress: '192.0.2.1', method: 'Password' } as const;
  const common = { specversion: '1.0', source: '/skiff/team/main', subject: 'ann', time: '2026-01-01T00:00:00Z', datacontenttype: 'application/json' } as const;
  return { ...common, id, type: 'dev.skiff.login.succeeded', data: { ...data, credential: 'password' } };
}

function start(publisher: BestEffortEventsProps['publisher']) {
  const dropped: string[] = [];
  const warnings: string[] = [];
  const events = new BestEffortEvents({
    publisher,
    clock: systemClock,
    logger: { ...silentLogger, warn: (_fields, message) => warnings.push(message) },
    onDropped: (type, reason) => dropped.push(`${type} ${reason}`),
  });
  return { events, dropped, warnings };
}

test('an event goes to the bus as a message with the id of the event', async () => {
  const bus = createMemoryBus();
  const { events } = start(bus.publisher);
  events.offer(login('skf-1'));
  await events.stop();
  assert.deepEqual(
    bus.pending.map(({ messageId, subject, properties }) => [messageId, subject, properties.username]),
    [['skf-1', 'dev.skiff.login.succeeded', 'ann']],
  );
});

test('while the bus is away events wait, as many as fit; the rest is counted, and said once', async () => {
  const bus = createMemoryBus();
  bus.outage(true);
  const { events, dropped, warnings } = start(bus.publisher);
  for (let index = 0; index < MAX_WAITING + 7; index++) events.offer(login(`skf-${index}`));
  await sleep(50);
  assert.deepEqual(
    dropped,
    Array.from({ length: 7 }, () => 'dev.skiff.login.succeeded BufferFull'),
  );
  assert.equal(warnings.filter((message) => message.includes('dropped')).length, 1);
  bus.outage(false);
  await events.stop();
  assert.deepEqual(
    bus.pending.map((message) => message.messageId),
    Array.from({ length: MAX_WAITING }, (_, index) => `skf-${index}`),
  );
});

test('what was sent and not confirmed is sent again with the same id', async () => {
  const sent: string[][] = [];
  const { events } = start({
    publish: (messages) => {
      sent.push(messages.map((message) => message.messageId));
      return sent.length === 1 ? Promise.reject(new StoreError({ code: 'unavailable', message: 'no answer' })) : Promise.resolve();
    },
    close: () => Promise.resolve(),
  });
  events.offer(login('skf-1'));
  for (let waited = 0; sent.length < 2 && waited < 10_000; waited += 20) await sleep(20);
  assert.deepEqual(sent, [['skf-1'], ['skf-1']]);
  await events.stop();
});

test('an event that the bus will not take is dropped and holds up no other', async () => {
  const { events, dropped } = start({
    publish: (messages) =>
      messages.some(({ messageId }) => messageId === 'skf-1') ? Promise.reject(new MessagesRefusedError(new Map([['skf-1', 'too large']]))) : Promise.resolve(),
    close: () => Promise.resolve(),
  });
  events.offer(login('skf-1'));
  events.offer(login('skf-2'));
  await events.stop();
  assert.deepEqual(dropped, ['dev.skiff.login.succeeded Refused']);
});

test('a bus that never answers holds up neither whoever offers nor the end, and what is left is counted', async () => {
  const { events, dropped } = start({
    publish: (_messages, signal) =>
      new Promise((_resolve, reject) => {
        signal.throwIfAborted();
        signal.addEventListener('abort', () => reject(new StoreError({ code: 'aborted', message: 'aborted' })), { once: true });
      }),
    close: () => Promise.resolve(),
  });
  events.offer(login('skf-1'));
  events.offer(login('skf-2'));
  await events.stop();
  assert.deepEqual(dropped, ['dev.skiff.login.succeeded Stopped', 'dev.skiff.login.succeeded Stopped']);
  events.offer(login('skf-3'));
  assert.equal(dropped.length, 3);
});

test('an event that is offered at the very moment that the last one is done is sent too', async () => {
  for (let turns = 1; turns < 12; turns++) {
    const sent: string[] = [];
    const { events } = start({
      publish: async (messages) => {
        for (const { messageId } of messages) sent.push(messageId);
        if (sent.length > 1) return;
        void (async () => {
          for (let turn = 0; turn < turns; turn++) await undefined;
          events.offer(login('skf-2'));
        })();
      },
      close: () => Promise.resolve(),
    });
    events.offer(login('skf-1'));
    await sleep(0);
    assert.deepEqual(sent, ['skf-1', 'skf-2'], `after ${turns} turns`);
    await events.stop();
  }
});

test('an endpoint that publishes nowhere drops nothing: nobody is to be told', async () => {
  const { events, dropped } = start(undefined);
  events.offer(login('skf-1'));
  await events.stop();
  assert.deepEqual(dropped, []);
});
