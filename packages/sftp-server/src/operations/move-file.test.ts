import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import type { OperationId } from '@skiff/model/upload-state';
import type { BlobName } from '@skiff/model/virtual-path';
import { noFailpoints } from '@skiff/runtime/failpoint';
import type { FileStore } from '@skiff/storage/file-store';
import { createMemoryStore } from '@skiff/storage/memory';
import { moveFile } from './move-file.ts';

const ID = 'a'.repeat(32) as OperationId;
const SOURCE = 'old/f' as BlobName;
const TARGET = 'new/f' as BlobName;
const signal = () => AbortSignal.timeout(10_000);

/** A call to the store that waits for its turn. */
interface Waiting {
  readonly name: string;
  /** Its actor may die here: before the request is sent, or with the request on its way. */
  readonly mortal: boolean;
  readonly send: () => Promise<unknown>;
  readonly answer: (answer: Promise<unknown>) => void;
}

interface Option {
  readonly name: string;
  readonly take: () => Promise<unknown>;
}

/** One order of events among all that are possible: `prefix` says what to choose each time, after its end always the first. */
class Schedule {
  readonly taken: { readonly choice: number; readonly of: number }[] = [];
  readonly log: string[] = [];
  readonly #prefix: readonly number[];
  #waiting: readonly Waiting[] = [];

  constructor(prefix: readonly number[]) {
    this.#prefix = prefix;
  }

  /** The store as one actor sees it: each of its calls happens when the schedule says so. */
  through(store: FileStore, actor: string, mortal: boolean): FileStore {
    return new Proxy(store, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        return (...args: readonly unknown[]) => {
          const { promise, resolve } = Promise.withResolvers<unknown>();
          const send = async (): Promise<unknown> => Reflect.apply(value, target, args);
          this.#waiting = [...this.#waiting, { name: `${actor}: ${String(key)}`, mortal, send, answer: resolve }];
          return promise;
        };
      },
    });
  }

  async run(check: (log: readonly string[]) => Promise<void>): Promise<void> {
    for (;;) {
      // Whoever can go on without the store does.
      await new Promise((resolve) => setImmediate(resolve));
      const options = this.#waiting.flatMap((call) => this.#optionsOf(call));
      if (options.length === 0) return;
      const choice = this.#prefix[this.taken.length] ?? 0;
      this.taken.push({ choice, of: options.length });
      const option = options[choice];
      assert.ok(option !== undefined);
      this.log.push(option.name);
      await option.take();
      await check(this.log);
    }
  }

  #optionsOf(call: Waiting): readonly Option[] {
    const without = () => this.#waiting.filter((other) => other !== call);
    const happens = async () => {
      this.#waiting = without();
      const answer = call.send();
      await answer.catch(() => undefined);
      call.answer(answer);
    };
    if (!call.mortal) return [{ name: call.name, take: happens }];
    const dies = (left: readonly Waiting[]) => async () => {
      this.#waiting = [...without(), ...left];
    };
    const late: Waiting = { ...call, name: `${call.name}, late`, mortal: false, answer: () => undefined };
    return [
      { name: call.name, take: happens },
      { name: `${call.name}: dies before`, take: dies([]) },
      { name: `${call.name}: dies, the request is on its way`, take: dies([late]) },
    ];
  }
}

/** Runs every order of events. Returns how many there are. */
async function explore(run: (schedule: Schedule) => Promise<void>): Promise<number> {
  let prefix: readonly number[] | undefined = [];
  let count = 0;
  for (; prefix !== undefined; count++) {
    assert.ok(count < 100_000, 'too many orders: cut off, the exploration proves nothing');
    const schedule = new Schedule(prefix);
    await run(schedule);
    const { taken } = schedule;
    const last = taken.findLastIndex(({ choice, of }) => choice + 1 < of);
    prefix = last === -1 ? undefined : [...taken.slice(0, last).map(({ choice }) => choice), (taken[last]?.choice ?? 0) + 1];
  }
  return count;
}

const contentOf = (text: string) => ({ parts: [Buffer.from(text)], sizeBytes: text.length });
async function textOf(store: FileStore, name: BlobName): Promise<string | undefined> {
  const file = await store.stat(name, signal());
  if (file === undefined) return undefined;
  return Buffer.concat(await store.read(name, { offset: 0, length: 100, etag: file.etag }, signal())).toString();
}

/**
 * An owner that may die at any call, or is taken for dead and goes on beside a recovery, which may begin at any time; recovery goes on
 * until it is done.
 */
function startMovers(store: FileStore, schedule: Schedule, ownerDies: boolean): Promise<unknown> {
  const recoveryHasBegun = () => schedule.log.some((name) => name.startsWith('recovery'));
  const props = { id: ID, source: SOURCE, target: TARGET, failpoints: noFailpoints, signal: signal() };
  void moveFile({ ...props, store: schedule.through(store, 'owner', ownerDies), owned: () => !recoveryHasBegun() });
  const recovering = { ...props, store: schedule.through(store, 'recovery', false), owned: () => true };
  return (async () => {
    for (let passes = 0; passes < 5; passes++) if ((await moveFile(recovering)) !== 'moved') return;
  })();
}

async function storeWith(text: string): Promise<FileStore> {
  const store = createMemoryStore();
  await store.put(SOURCE, contentOf(text), { metadata: { skiff_upload: 'before' }, signal: signal() });
  return store;
}

test('in every order of two movers, deaths and late requests a file is never lost, and in the end there once, under its new name', async (t) => {
  const orders = await explore(async (schedule) => {
    const store = await storeWith('v1');
    const recovered = startMovers(store, schedule, true);
    await schedule.run(async (log) => {
      assert.ok([await textOf(store, SOURCE), await textOf(store, TARGET)].includes('v1'), `lost: ${log.join(' → ')}`);
    });
    await recovered;
    assert.deepEqual([await textOf(store, SOURCE), await textOf(store, TARGET)], [undefined, 'v1'], schedule.log.join(' → '));
  });
  t.diagnostic(`${orders} orders`);
  assert.ok(orders > 100);
});

test('a new version that an outside tool writes at the old name is never lost, whenever it comes', async (t) => {
  const orders = await explore(async (schedule) => {
    const store = await storeWith('v1');
    const recovered = startMovers(store, schedule, false);
    const outside = schedule.through(store, 'outside', false);
    const written = outside.put(SOURCE, contentOf('v2'), { metadata: {}, signal: signal() });
    await schedule.run(async (log) => {
      const there = [await textOf(store, SOURCE), await textOf(store, TARGET)];
      assert.ok(log.includes('outside: put') ? there.includes('v2') : there.includes('v1'), `lost: ${log.join(' → ')}`);
    });
    await Promise.all([recovered, written]);
    const there = [await textOf(store, SOURCE), await textOf(store, TARGET)];
    // After the file had gone it is a new one, which the next pass over the directory finds.
    const once = there[0] === undefined ? there[1] === 'v2' : there[0] === 'v2' && there[1] !== 'v2';
    assert.ok(once, `${there}: ${schedule.log.join(' → ')}`);
  });
  t.diagnostic(`${orders} orders`);
});

test('what an outside tool puts at the new name before the file comes is never overwritten, and the file stays', async (t) => {
  const orders = await explore(async (schedule) => {
    const store = await storeWith('v1');
    const recovered = startMovers(store, schedule, false);
    const outside = schedule.through(store, 'outside', false);
    const put = outside.put(TARGET, contentOf('theirs'), { condition: { kind: 'absent' }, metadata: {}, signal: signal() });
    const written = put.then(
      () => true,
      (error: unknown) => {
        assert.ok(error instanceof StoreError && error.code === 'conflict');
        return false;
      },
    );
    await schedule.run(() => Promise.resolve());
    await recovered;
    const expected = (await written) ? ['v1', 'theirs'] : [undefined, 'v1'];
    assert.deepEqual([await textOf(store, SOURCE), await textOf(store, TARGET)], expected, schedule.log.join(' → '));
  });
  t.diagnostic(`${orders} orders`);
});
