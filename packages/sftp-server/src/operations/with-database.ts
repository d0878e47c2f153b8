import { setTimeout as sleep } from 'node:timers/promises';
import { isTransient, StoreError } from '@skiff/model/store-error';
import type { OperationContext } from './operation-context.ts';

/** How long a client that waits for its answer is kept while the database is away (DESIGN P9). */
const DATABASE_PATIENCE_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/**
 * Repeats a call while the database is away, as long as a client can be kept waiting. `undefined`: it stayed away. A call that
 * succeeds after that goes to `onLate`, so that nothing it has taken stays taken.
 */
export async function withDatabase<Value>(
  context: OperationContext,
  call: () => Promise<Value>,
  onLate: (value: Value) => Promise<void> | void = () => undefined,
): Promise<{ readonly value: Value } | undefined> {
  const deadline = context.clock.monotonicMs() + DATABASE_PATIENCE_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const answer = await within(deadline - context.clock.monotonicMs(), call());
    if (answer.kind === 'value') return answer;
    if (answer.kind === 'late') {
      answer.late.then(onLate).catch((error: unknown) => context.logger.warn({ err: error }, 'a call that came too late failed'));
    } else if (!isTransient(answer.error)) throw answer.error;
    else if (context.clock.monotonicMs() + pause < deadline) {
      await sleep(pause * (0.5 + Math.random() / 2));
      continue;
    }
    context.logger.error(
      { err: answer.kind === 'error' ? answer.error : new StoreError({ code: 'unavailable', message: 'no answer' }) },
      'database stayed away',
    );
    return undefined;
  }
}

type Answer<Value> =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'late'; readonly late: Promise<Value> };

async function within<Value>(timeoutMs: number, call: Promise<Value>): Promise<Answer<Value>> {
  const timeout = Promise.withResolvers<Answer<Value>>();
  const timer = setTimeout(() => timeout.resolve({ kind: 'late', late: call }), Math.max(0, timeoutMs));
  try {
    const settled = call.then(
      (value): Answer<Value> => ({ kind: 'value', value }),
      (error: unknown): Answer<Value> => ({ kind: 'error', error }),
    );
    return await Promise.race([settled, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
