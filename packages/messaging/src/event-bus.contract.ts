import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { StoreError, type StoreErrorCode } from '@skiff/model/store-error';
import type { EventConsumer, EventPublisher, IncomingMessage, MessageHandler, OutgoingMessage } from './event-bus.ts';
import { MessagesRefusedError } from './messages-refused-error.ts';

/** One empty queue with duplicate detection, at least 3 deliveries per message and a limit of about 1 MiB per message. */
export interface EventBusHarness {
  readonly publisher: EventPublisher;
  consumer(concurrency: number): EventConsumer;
  /** What was set aside, oldest first. */
  deadLetters(): Promise<readonly { readonly messageId: string | undefined; readonly reason: string | undefined }[]>;
  close(): Promise<void>;
}

/** What every bus must do. Each adapter and the in-memory bus run it: `describeEventBus('memory', async () => …)`. */
export function describeEventBus(name: string, makeHarness: () => Promise<EventBusHarness>): void {
  describe(`event bus: ${name}`, () => {
    let bus: EventBusHarness;
    const consumers: EventConsumer[] = [];

    beforeEach(async () => {
      bus = await makeHarness();
    });
    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((consumer) => consumer.stop(AbortSignal.timeout(2_000))));
      await bus.close();
    });

    async function consume(handler: MessageHandler, concurrency = 1): Promise<EventConsumer> {
      const consumer = bus.consumer(concurrency);
      consumers.push(consumer);
      await consumer.start(handler);
      return consumer;
    }

    test('delivers the body, id and content type that were published', async () => {
      const sent = makeMessage({ body: Buffer.from('{"a":"ü"}') });
      await bus.publisher.publish([sent], soon());
      const received: IncomingMessage[] = [];
      await consume(async (message) => {
        received.push(message);
        return { kind: 'complete' };
      });
      await until(() => received.length > 0);
      const [message] = received;
      assert.deepEqual(
        { id: message?.messageId, type: message?.contentType, body: message?.body.toString(), count: message?.deliveryCount },
        { id: sent.messageId, type: sent.contentType, body: '{"a":"ü"}', count: 1 },
      );
      assert.ok(message?.enqueuedAt instanceof Date);
    });

    test('delivers each message of a large batch once, and bodies of 250 KiB whole', async () => {
      const large = Array.from({ length: 6 }, (_, i) => makeMessage({ body: Buffer.alloc(250 * 1024, i) }));
      const small = Array.from({ length: 300 }, () => makeMessage({}));
      await bus.publisher.publish([...small, ...large], soon());
      const received = new Map<string | undefined, Buffer>();
      let count = 0;
      await consume(async (message) => {
        count++;
        received.set(message.messageId, message.body);
        return { kind: 'complete' };
      }, 32);
      await until(() => received.size === 306);
      assert.equal(count, 306);
      for (const message of large) assert.ok(received.get(message.messageId)?.equals(message.body));
    });

    test('accepts an empty batch', async () => {
      await bus.publisher.publish([], soon());
    });

    test('drops a second message with the same id', async () => {
      const twice = makeMessage({});
      const last = makeMessage({});
      await bus.publisher.publish([twice], soon());
      await bus.publisher.publish([twice, last], soon());
      const ids: (string | undefined)[] = [];
      await consume(async (message) => {
        ids.push(message.messageId);
        return { kind: 'complete' };
      });
      await until(() => ids.includes(last.messageId));
      assert.deepEqual(ids, [twice.messageId, last.messageId]);
    });

    test('refuses the messages of a batch that are above the size limit by their ids, and delivers all others', async () => {
      const small = Array.from({ length: 20 }, () => makeMessage({}));
      const large = [makeMessage({ body: Buffer.alloc(2 * 1024 * 1024) }), makeMessage({ body: Buffer.alloc(3 * 1024 * 1024) })];
      const batch = [...small.slice(0, 10), ...large, ...small.slice(10)];
      await assert.rejects(bus.publisher.publish(batch, soon()), (error: unknown) => {
        assert.ok(error instanceof MessagesRefusedError, String(error));
        assert.deepEqual([...error.refused.keys()].toSorted(), large.map(({ messageId }) => messageId).toSorted());
        assert.ok([...error.refused.values()].every((reason) => reason !== ''));
        return true;
      });
      const ids = new Set<string | undefined>();
      await consume(async (message) => {
        ids.add(message.messageId);
        return { kind: 'complete' };
      });
      await until(() => small.every(({ messageId }) => ids.has(messageId)));
      assert.equal(ids.size, small.length);
    });

    test('refuses a message above the size limit as invalid', async () => {
      await rejectsWith('invalid', bus.publisher.publish([makeMessage({ body: Buffer.alloc(2 * 1024 * 1024) })], soon()));
    });

    test('fails a publish whose signal has fired as aborted', async () => {
      await rejectsWith('aborted', bus.publisher.publish([makeMessage({})], AbortSignal.abort()));
    });

    test('hands out an abandoned message again with a greater delivery count', async () => {
      await bus.publisher.publish([makeMessage({})], soon());
      const counts: number[] = [];
      await consume(async (message) => {
        counts.push(message.deliveryCount);
        return counts.length < 2 ? { kind: 'abandon' } : { kind: 'complete' };
      });
      await until(() => counts.length === 2);
      assert.deepEqual(counts, [1, 2]);
    });

    test('counts a throw of the handler as abandon', async () => {
      await bus.publisher.publish([makeMessage({})], soon());
      let calls = 0;
      await consume(async () => {
        if (++calls === 1) throw new Error('broken handler');
        return { kind: 'complete' };
      });
      await until(() => calls === 2);
    });

    test('sets a dead-lettered message aside with its reason', async () => {
      const poison = makeMessage({});
      await bus.publisher.publish([poison], soon());
      await consume(async () => ({ kind: 'deadLetter', reason: 'NotAnEvent', description: 'the body is not JSON' }));
      let found = await bus.deadLetters();
      for (let i = 0; i < 50 && found.length === 0; i++) {
        await delay(50);
        found = await bus.deadLetters();
      }
      assert.deepEqual(found, [{ messageId: poison.messageId, reason: 'NotAnEvent' }]);
    });

    test('runs as many handlers at a time as it was told and no more', async () => {
      await bus.publisher.publish(
        Array.from({ length: 12 }, () => makeMessage({})),
        soon(),
      );
      let running = 0;
      let most = 0;
      let done = 0;
      await consume(async () => {
        most = Math.max(most, ++running);
        await delay(100);
        running--;
        done++;
        return { kind: 'complete' };
      }, 4);
      await until(() => done === 12);
      assert.equal(most, 4);
    });

    test('shares the messages among competing consumers, each handled once', async () => {
      const handled = new Map<string | undefined, number>();
      const shares = [0, 0];
      for (const i of [0, 1]) {
        await consume(async (message) => {
          handled.set(message.messageId, (handled.get(message.messageId) ?? 0) + 1);
          shares[i] = (shares[i] ?? 0) + 1;
          await delay(2);
          return { kind: 'complete' };
        }, 4);
      }
      await delay(300);
      await bus.publisher.publish(
        Array.from({ length: 200 }, () => makeMessage({})),
        soon(),
      );
      await until(() => handled.size === 200);
      assert.ok([...handled.values()].every((times) => times === 1));
      assert.ok(
        shares.every((share) => share >= 20),
        `shares ${shares}`,
      );
    });

    test('lets running handlers end on stop and gives the other messages back', async () => {
      const messages = Array.from({ length: 20 }, () => makeMessage({}));
      await bus.publisher.publish(messages, soon());
      const first = new Set<string | undefined>();
      let ended = 0;
      const stopping = await consume(async (message) => {
        first.add(message.messageId);
        await delay(200);
        ended++;
        return { kind: 'complete' };
      }, 2);
      await until(() => first.size > 0);
      await stopping.stop(soon());
      assert.equal(ended, first.size);
      const rest = new Set<string | undefined>();
      await consume(async (message) => {
        rest.add(message.messageId);
        return { kind: 'complete' };
      }, 8);
      await until(() => first.size + rest.size >= 20);
      assert.deepEqual(
        [...first].filter((id) => rest.has(id)),
        [],
      );
    });

    test("aborts the handlers that outlast the stop's signal and gives their messages back", async () => {
      await bus.publisher.publish([makeMessage({})], soon());
      let aborted = false;
      let started = false;
      const stuck = await consume(async (_message, signal) => {
        started = true;
        signal.addEventListener('abort', () => {
          aborted = true;
        });
        await new Promise<never>(() => {});
        return { kind: 'complete' };
      });
      await until(() => started);
      await stuck.stop(AbortSignal.timeout(100));
      assert.ok(aborted);
      let again = 0;
      await consume(async () => {
        again++;
        return { kind: 'complete' };
      });
      await until(() => again === 1);
    });
  });
}

function makeMessage(props: Partial<OutgoingMessage>): OutgoingMessage {
  return {
    messageId: randomUUID(),
    contentType: 'application/cloudevents+json',
    subject: 'dev.skiff.file.uploaded',
    body: Buffer.from('{}'),
    properties: { endpoint: 'inbound' },
    ...props,
  };
}

function soon(): AbortSignal {
  return AbortSignal.timeout(10_000);
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return;
    await delay(20);
  }
  assert.fail(`not within 10 s: ${condition}`);
}

async function rejectsWith(code: StoreErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error: unknown) => error instanceof StoreError && error.code === code);
}
