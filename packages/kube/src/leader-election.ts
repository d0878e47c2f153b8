import type { Logger } from '@skiff/runtime/logger';
import { type Clock, sleep } from './clock.ts';
import type { Fence, KubeClient } from './kube-client.ts';
import { isNotFound, KubeError } from './kube-error.ts';
import type { ObjectRef } from './kube-object.ts';
import { type LeaseRecord, leaseManifest, microTime, parseLease, wasRenewed } from './lease-record.ts';
import { Leases } from './resource-type.ts';

export interface ElectionTimings {
  /** Others take the lease after the holder was silent for so long, ms. */
  readonly leaseMs: number;
  /** The holder stops writing when it could not renew for so long, ms; well below `leaseMs`. */
  readonly renewDeadlineMs: number;
  /** From the beginning of one renewal to that of the next, ms; others look at the lease as often, or up to 1.2 times less. */
  readonly retryMs: number;
}

/**
 * A killed leader is replaced 12.2 s after its last renewal at the latest (another saw that renewal at its next look, 1.2 s later, and
 * waits for the whole lease), so that with what a new leader needs to begin it is 14 s; client-go's 15, 10 and 2 s make 17.4 s and that.
 *
 * Two leaders are kept apart by the 4 s between renew deadline and lease, each counted by who keeps to it on its own monotonic clock.
 * Others wait for as long as the holder's own lease says, so that versions with other timings can stand beside each other.
 *
 * An API server that answers nothing for 6 s costs nobody the lease, wherever in the period that begins.
 */
const DEFAULT_TIMINGS: ElectionTimings = { leaseMs: 11_000, renewDeadlineMs: 7_000, retryMs: 1_000 };

/** From the end of one leader's right to write until another's can begin, at least, ms. */
export const NOBODY_LEADS_MS = DEFAULT_TIMINGS.leaseMs - DEFAULT_TIMINGS.renewDeadlineMs;

const REQUEST_TIMEOUT_MS = 5_000;
/** Of a renewal: when a connection has silently died, there is time for a second attempt on a fresh one, whole, before the deadline. */
const RENEW_TIMEOUT_MS = 3_000;

export interface ElectionProps {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly lease: ObjectRef;
  /** Unique for each process that ever runs: a pod's name and a random part. */
  readonly identity: string;
  readonly timings?: ElectionTimings;
  readonly clock: Clock;
  /** Gives [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
}

/** The right to write. It lasts until {@link signal}; hand both to every write. */
export interface Leadership extends Fence {
  /** Aborted at the moment the renew deadline passes, the lease is seen with another holder, or the process shuts down. */
  readonly signal: AbortSignal;
  /** Grows with each change of leader: a fencing token for stores outside of Kubernetes. */
  readonly epoch: number;
}

/**
 * Runs `lead` while this process holds the lease; takes it anew after a loss, and gives it back at the end. Returns when
 * `lead` returns, or after `signal`. Never two at a time: only the age of a lease *as observed* here counts, on the monotonic
 * clock, so skewed or jumping wall clocks cannot shorten a lease; a holder counts from before its last successful renewal was sent,
 * and asks the clock, not a timer, before each write, so a process that was suspended finds out first.
 *
 * @throws {unknown} what `lead` throws, after the lease was given back.
 */
export async function runElection(props: ElectionProps, lead: (leadership: Leadership) => Promise<void>, signal: AbortSignal): Promise<void> {
  const candidate = new Candidate(props);
  while (!signal.aborted) {
    const record = await candidate.acquire(signal);
    if (record === undefined) return;
    if ((await candidate.serve(record, lead, signal)) === 'done') return;
  }
}

interface Held {
  readonly record: LeaseRecord;
  /** Before the request that renewed it was sent. */
  readonly renewedAtMs: number;
}

class Candidate {
  readonly #props: ElectionProps;
  readonly #timings: ElectionTimings;
  readonly #logger: Logger;
  #observed: { readonly record: LeaseRecord; readonly atMs: number } | undefined;

  constructor(props: ElectionProps) {
    this.#props = props;
    this.#timings = props.timings ?? DEFAULT_TIMINGS;
    this.#logger = props.logger.child({ lease: props.lease.name, identity: props.identity });
  }

  /** Waits for the lease; undefined after `signal`. */
  async acquire(signal: AbortSignal): Promise<Held | undefined> {
    const { clock } = this.#props;
    while (!signal.aborted) {
      let waitMs = this.#jittered();
      try {
        const free = await this.#look(signal);
        if (free.waitMs === 0) return await this.#write(free.record, signal);
        waitMs = Math.min(waitMs, free.waitMs);
      } catch (error) {
        // `conflict`, `alreadyExists`: somebody else was first.
        if (!signal.aborted) this.#logger.debug({ err: error }, 'lease was not taken');
      }
      await sleep(clock, waitMs, signal);
    }
    return undefined;
  }

  /** What to write to take the lease, and when it may be taken. */
  async #look(signal: AbortSignal): Promise<{ readonly record: LeaseRecord; readonly waitMs: number }> {
    const { client, lease, identity, clock } = this.#props;
    let found: LeaseRecord;
    try {
      found = parseLease(await client.get(Leases, lease, { signal, timeoutMs: REQUEST_TIMEOUT_MS }));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return { record: this.#mine({ transitions: 0, resourceVersion: undefined }), waitMs: 0 };
    }
    const nowMs = clock.nowMs();
    if (this.#observed === undefined || wasRenewed(this.#observed.record, found)) this.#observed = { record: found, atMs: nowMs };
    const { resourceVersion } = found;
    // An attempt of ours whose answer was lost.
    if (found.holder === identity) return { record: this.#mine({ transitions: found.transitions, resourceVersion }), waitMs: 0 };
    const waitMs = found.holder === '' ? 0 : Math.max(0, this.#observed.atMs + found.durationMs - nowMs);
    return { record: this.#mine({ transitions: found.transitions + 1, resourceVersion }), waitMs };
  }

  #mine(base: Pick<LeaseRecord, 'transitions' | 'resourceVersion'>): LeaseRecord {
    const now = microTime(this.#props.clock.date());
    return { ...base, holder: this.#props.identity, durationMs: this.#timings.leaseMs, acquireTime: now, renewTime: now };
  }

  async #write(record: LeaseRecord, signal: AbortSignal, timeoutMs = REQUEST_TIMEOUT_MS): Promise<Held> {
    const { client, lease, clock } = this.#props;
    const renewedAtMs = clock.nowMs();
    const manifest = leaseManifest(lease, record);
    const verb = record.resourceVersion === undefined ? 'create' : 'replace';
    const written = parseLease(await client[verb](Leases, manifest, { signal, timeoutMs }));
    return { record: written, renewedAtMs };
  }

  /** `lost`: try to get it again; `done`: `lead` has returned or the process ends. */
  async serve(first: Held, lead: (leadership: Leadership) => Promise<void>, signal: AbortSignal): Promise<'lost' | 'done'> {
    const { clock } = this.#props;
    const { renewDeadlineMs } = this.#timings;
    const term = new Term({ held: first, renewDeadlineMs, clock });
    const end = () => term.end('the process ends');
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    this.#logger.info({ epoch: term.epoch }, 'took the lease');
    const finished = new AbortController();
    const work = lead(term).finally(() => finished.abort());
    const renewing = this.#renewUntil(term, finished.signal);
    try {
      await work;
    } catch (error) {
      // Work that is told to stop may do so by an error of its own.
      if (!term.signal.aborted) throw error;
      this.#logger.debug({ err: error }, 'work was broken off');
    } finally {
      finished.abort();
      await renewing;
      signal.removeEventListener('abort', end);
      term.close();
      if (!term.lost) await this.#release(term.held.record);
      this.#logger.info({ epoch: term.epoch, lost: term.lost }, 'led no longer');
    }
    return term.lost ? 'lost' : 'done';
  }

  /** Goes on while `lead` winds down after a shutdown: the lease is given back only when nobody writes any more. */
  async #renewUntil(term: Term, finished: AbortSignal): Promise<void> {
    const { clock } = this.#props;
    const over = AbortSignal.any([finished, term.lostSignal]);
    let beganMs = term.held.renewedAtMs;
    while (!over.aborted) {
      // An attempt that took longer is followed at once: while the API server is slow, the time until the deadline is spent asking.
      await sleep(clock, Math.max(0, beganMs + this.#timings.retryMs - clock.nowMs()), over);
      if (over.aborted) return;
      beganMs = clock.nowMs();
      try {
        const record = { ...term.held.record, renewTime: microTime(clock.date()) };
        term.renew(await this.#write(record, over, Math.min(RENEW_TIMEOUT_MS, term.remainingMs)));
      } catch (error) {
        if (over.aborted) return;
        this.#logger.warn({ err: error, remainingMs: term.remainingMs }, 'lease was not renewed');
        if (error instanceof KubeError && error.code === 'conflict') await this.#afterConflict(term, over);
      }
    }
  }

  /** Somebody wrote to the lease: a renewal of ours whose answer was lost, a person, or the next leader. */
  async #afterConflict(term: Term, signal: AbortSignal): Promise<void> {
    const { client, lease, identity } = this.#props;
    try {
      const found = parseLease(await client.get(Leases, lease, { signal, timeoutMs: REQUEST_TIMEOUT_MS }));
      if (found.holder === identity) term.sawVersion(found);
      else term.lose(`the lease is held by ${found.holder}`);
    } catch (error) {
      // The next renewal meets the same conflict; until then the deadline holds.
      this.#logger.debug({ err: error }, 'lease was not read');
    }
  }

  async #release(record: LeaseRecord): Promise<void> {
    const { client, lease, clock } = this.#props;
    const released = { ...record, holder: '', durationMs: 1_000, renewTime: microTime(clock.date()) };
    try {
      await client.replace(Leases, leaseManifest(lease, released), { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS), timeoutMs: REQUEST_TIMEOUT_MS });
    } catch (error) {
      this.#logger.warn({ err: error }, 'lease was not given back, it runs out');
    }
  }

  /** Between the retry period and 1.2 times that, so that candidates do not look in step. */
  #jittered(): number {
    return this.#timings.retryMs * (1 + 0.2 * this.#props.random());
  }
}

/** One stretch of leadership. */
class Term implements Leadership {
  readonly epoch: number;
  readonly #abort = new AbortController();
  readonly #lost = new AbortController();
  readonly #clock: Clock;
  readonly #renewDeadlineMs: number;
  #held: Held;
  #cancelDeadline: () => void;

  constructor(props: { readonly held: Held; readonly renewDeadlineMs: number; readonly clock: Clock }) {
    this.#held = props.held;
    this.#clock = props.clock;
    this.#renewDeadlineMs = props.renewDeadlineMs;
    this.epoch = props.held.record.transitions;
    this.#cancelDeadline = this.#armDeadline();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }
  get lostSignal(): AbortSignal {
    return this.#lost.signal;
  }
  get lost(): boolean {
    return this.#lost.signal.aborted;
  }
  get held(): Held {
    return this.#held;
  }
  get remainingMs(): number {
    return Math.max(0, this.#held.renewedAtMs + this.#renewDeadlineMs - this.#clock.nowMs());
  }

  assertHeld(): void {
    if (this.remainingMs === 0) this.lose('the renew deadline has passed');
    if (this.#abort.signal.aborted) throw new KubeError({ code: 'aborted', httpStatus: 0, message: 'not the leader', cause: this.#abort.signal.reason });
  }

  renew(held: Held): void {
    this.#held = held;
    this.#cancelDeadline();
    this.#cancelDeadline = this.#armDeadline();
  }

  /** The version to write next; the deadline stays, since no renewal is known to have come from here. */
  sawVersion(record: LeaseRecord): void {
    this.#held = { record, renewedAtMs: this.#held.renewedAtMs };
  }

  lose(reason: string): void {
    this.#lost.abort(new Error(reason));
    this.end(reason);
  }

  /** Work stops; while it winds down the lease is still held, and may still be lost. */
  end(reason: string): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(new Error(reason));
  }

  /** The work has stopped. */
  close(): void {
    this.end('the work has ended');
    this.#cancelDeadline();
  }

  #armDeadline(): () => void {
    return this.#clock.schedule(this.remainingMs, () => this.lose('the renew deadline has passed'));
  }
}
