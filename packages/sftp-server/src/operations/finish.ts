import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationRef } from '@skiff/database/operation-log';
import { isTransient, StoreError } from '@skiff/model/store-error';
import { COMMIT_BUDGET_MS } from '../lease.ts';
import type { OperationContext } from './operation-context.ts';
import { type Outcome, reasonOf } from './outcome.ts';

/** How long a client that waits for its answer is kept while the database is away (DESIGN P9). */
export const DATABASE_PATIENCE_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/** What an attempt at the effect found. `changed`: the condition did not hold and the present state is not this operation's. */
export type Effect =
  | { readonly kind: 'done'; readonly etag: string | undefined; readonly unconfirmed?: boolean }
  | { readonly kind: 'impossible'; readonly reason: string }
  /** The next attempt takes this as the version to replace; the row is told first. */
  | { readonly kind: 'changed'; readonly etag: string | null };

export interface FinishProps {
  /** One attempt. `priorEtag` is what the row demands at this moment. Transient failures are thrown as StoreError. */
  readonly attempt: (priorEtag: string | null, signal: AbortSignal) => Promise<Effect>;
  readonly priorEtag: string | null;
  /** True for the owner whose client waits: it wins over outside tools. Recovery gives way to them. */
  readonly live: boolean;
}

const MAX_CONFLICTS = 5;

/**
 * Brings a `committing` row to its end: the effect on the store, bounded by the commit budget and only under a lease that
 * lasts as long; then the row. Gives up by parking, never by leaving the row owned.
 */
export async function finish(context: OperationContext, ref: OperationRef, props: FinishProps): Promise<Outcome> {
  try {
    return await tryToFinish(context, ref, props);
  } catch (error) {
    await context.parking.park(ref);
    throw error;
  }
}

async function tryToFinish(context: OperationContext, ref: OperationRef, props: FinishProps): Promise<Outcome> {
  let { priorEtag } = props;
  const deadline = context.clock.monotonicMs() + COMMIT_BUDGET_MS;
  let pause = FIRST_PAUSE_MS;
  let conflicts = 0;
  for (;;) {
    const budgetMs = Math.min(deadline - context.clock.monotonicMs(), context.lease.remainingMs());
    if (budgetMs <= 0) return park(context, ref, 'the storage did not answer in time');
    let effect: Effect;
    try {
      effect = await props.attempt(priorEtag, AbortSignal.timeout(Math.ceil(budgetMs)));
    } catch (error) {
      if (!isTransient(error) && !(error instanceof StoreError && error.code === 'aborted')) return abort(context, ref, reasonOf(error));
      context.logger.warn({ operation: ref.id, err: error }, 'effect on the storage failed, trying again');
      const waitMs = Math.max(pause * (0.5 + Math.random() / 2), error instanceof StoreError ? (error.retryAfterMs ?? 0) : 0);
      if (context.clock.monotonicMs() + waitMs >= deadline) return park(context, ref, reasonOf(error));
      await sleep(waitMs);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      continue;
    }
    switch (effect.kind) {
      case 'done':
        await context.failpoints.hit('upload.blobCommitted');
        return record(context, ref, effect);
      case 'impossible':
        return abort(context, ref, effect.reason);
      case 'changed': {
        if (!props.live) return abort(context, ref, 'the file was changed by others before recovery could finish');
        if (++conflicts > MAX_CONFLICTS) return abort(context, ref, 'the file is being changed by others all the time');
        const told = await withDatabase(context, () => context.log.setPriorEtag(ref, effect.etag));
        if (told === undefined) return park(context, ref, 'the database cannot be reached');
        if (!told.value) return { kind: 'displaced' };
        priorEtag = effect.etag;
      }
    }
  }
}

async function record(context: OperationContext, ref: OperationRef, effect: Effect & { kind: 'done' }): Promise<Outcome> {
  const result = { etag: effect.etag, ...(effect.unconfirmed === undefined ? {} : { unconfirmed: effect.unconfirmed }) };
  const answer = await withDatabase(context, () => context.log.committed(ref, result));
  if (answer === undefined) return park(context, ref, 'the file is stored, but the database cannot be reached to record it');
  if (answer.value === undefined) return { kind: 'displaced' };
  await context.failpoints.hit('upload.committed');
  context.onCommitted(answer.value, ref.id);
  return { kind: 'committed', event: answer.value };
}

async function abort(context: OperationContext, ref: OperationRef, reason: string): Promise<Outcome> {
  const answer = await withDatabase(context, () => context.log.abort(ref, reason));
  if (answer === undefined) return park(context, ref, reason);
  return answer.value ? { kind: 'aborted', reason } : { kind: 'displaced' };
}

async function park(context: OperationContext, ref: OperationRef, reason: string): Promise<Outcome> {
  await context.parking.park(ref);
  return { kind: 'parked', reason };
}

/** Repeats a call while the database is away, as long as a client can be kept waiting. `undefined`: it stayed away. */
export async function withDatabase<Value>(context: OperationContext, call: () => Promise<Value>): Promise<{ readonly value: Value } | undefined> {
  const deadline = context.clock.monotonicMs() + DATABASE_PATIENCE_MS;
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    try {
      return { value: await call() };
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (context.clock.monotonicMs() + pause >= deadline) {
        context.logger.error({ err: error }, 'database stayed away, giving the operation up');
        return undefined;
      }
      await sleep(pause * (0.5 + Math.random() / 2));
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }
}
