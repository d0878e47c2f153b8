import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationRef } from '@skiff/database/operation-log';
import { isTransient, StoreError } from '@skiff/model/store-error';
import { isRecorded } from '@skiff/model/upload-state';
import { COMMIT_BUDGET_MS } from '../lease.ts';
import type { OperationContext } from './operation-context.ts';
import { type Outcome, reasonOf } from './outcome.ts';
import { withDatabase } from './with-database.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** How long a renewal that came too late for the regular one may take. */
const RENEWAL_TIMEOUT_MS = 2_000;

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
  /** True when a request that was sent and never answered could still make a file appear. */
  readonly mayLandLate: boolean;
  /** Of the operation's event. */
  readonly eventType: string;
  /** Why a version that has come into being meanwhile may not be replaced, if so. */
  readonly refuseReplacing?: () => string | undefined;
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
  // Whether a request may have had its effect, or may still have it. What another process has sent is never known.
  let uncertain = !props.live;
  const abortWith = (reason: string) => abort(context, ref, { reason, lookAgain: uncertain && props.mayLandLate });
  for (;;) {
    const budgetMs = deadline - context.clock.monotonicMs();
    if (budgetMs <= 0) return park(context, ref, 'the storage did not answer in time');
    if (context.lease.remainingMs() < budgetMs) {
      if (!(await renewedLease(context, budgetMs))) return park(context, ref, 'this server cannot reach its database');
      // The lease had run low, or out: somebody may have gone on with this operation meanwhile.
      const present = priorEtag;
      const owned = await withDatabase(context, () => context.log.setPriorEtag(ref, present));
      if (owned?.value !== true) return owned === undefined ? park(context, ref, 'the database cannot be reached') : finishedByOthers(context, ref);
    }
    let effect: Effect;
    try {
      await context.failpoints.hit('upload.sending');
      effect = await props.attempt(priorEtag, AbortSignal.timeout(Math.ceil(budgetMs)));
    } catch (error) {
      if (!mayPass(error)) {
        // After a request without an answer a refusal proves nothing: the file may be there.
        return uncertain ? park(context, ref, reasonOf(error)) : abortWith(reasonOf(error));
      }
      uncertain = true;
      context.logger.warn({ operation: ref.id, err: error }, 'effect on the storage failed, trying again');
      const waitMs = Math.max(pause * (0.5 + Math.random() / 2), error instanceof StoreError ? (error.retryAfterMs ?? 0) : 0);
      if (context.clock.monotonicMs() + waitMs >= deadline) return park(context, ref, reasonOf(error));
      await sleep(waitMs);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      continue;
    }
    if (effect.kind === 'done') {
      await context.failpoints.hit('upload.blobCommitted');
      return record(context, ref, { effect, eventType: props.eventType });
    }
    if (effect.kind === 'impossible') return abortWith(effect.reason);
    if (!props.live) return abortWith('the file was changed by others before recovery could finish');
    if (++conflicts > MAX_CONFLICTS) return abortWith('the file is being changed by others all the time');
    const refusal = effect.etag === null ? undefined : props.refuseReplacing?.();
    if (refusal !== undefined) return abortWith(refusal);
    const { etag } = effect;
    const told = await withDatabase(context, () => context.log.setPriorEtag(ref, etag));
    if (told === undefined) return park(context, ref, 'the database cannot be reached');
    if (!told.value) return { kind: 'displaced' };
    priorEtag = etag;
  }
}

/** Makes up for a renewal that is late. Whether nobody may regard this process as dead then before the budget is spent. */
async function renewedLease({ lease, logger }: OperationContext, budgetMs: number): Promise<boolean> {
  const renewal = lease.renew().catch((error: unknown) => logger.warn({ err: error }, 'lease could not be renewed'));
  const patience = new AbortController();
  await Promise.race([renewal, sleep(RENEWAL_TIMEOUT_MS, undefined, { signal: patience.signal }).catch(() => undefined)]);
  patience.abort();
  return lease.remainingMs() >= budgetMs;
}

/** Whether it is worth trying again: it may pass, or our own deadline has ended it. */
export function mayPass(error: unknown): boolean {
  return isTransient(error) || (error instanceof StoreError && error.code === 'aborted');
}

interface Done {
  readonly effect: Effect & { kind: 'done' };
  readonly eventType: string;
}

export async function record(context: OperationContext, ref: OperationRef, { effect, eventType }: Done): Promise<Outcome> {
  const announced = context.emits(eventType);
  const result = { etag: effect.etag, ...(effect.unconfirmed === undefined ? {} : { unconfirmed: effect.unconfirmed }), unannounced: !announced };
  const answer = await withDatabase(
    context,
    () => context.log.committed(ref, result),
    (event) => {
      if (event !== undefined) context.onCommitted(event, ref.id, announced);
    },
  );
  if (answer === undefined) return park(context, ref, 'the file is stored, but the database cannot be reached to record it');
  if (answer.value === undefined) return finishedByOthers(context, ref);
  await context.failpoints.hit('upload.committed');
  context.onCommitted(answer.value, ref.id, announced);
  return { kind: 'committed' };
}

/** Recovery was faster: whether it has recorded the event decides what the client may be told. */
export async function finishedByOthers(context: OperationContext, ref: OperationRef): Promise<Outcome> {
  const row = await withDatabase(context, () => context.log.find(ref.id));
  const state = row?.value?.state;
  return state !== undefined && isRecorded(state) ? { kind: 'committed' } : { kind: 'displaced' };
}

export async function abort(context: OperationContext, ref: OperationRef, end: { readonly reason: string; readonly lookAgain: boolean }): Promise<Outcome> {
  const { reason, lookAgain } = end;
  const answer = await withDatabase(context, () => context.log.abort(ref, reason, { lookAgain }));
  if (answer === undefined) return park(context, ref, reason);
  return answer.value ? { kind: 'aborted', reason } : { kind: 'displaced' };
}

export async function park(context: OperationContext, ref: OperationRef, reason: string): Promise<Outcome> {
  await context.parking.park(ref);
  return { kind: 'parked', reason };
}
