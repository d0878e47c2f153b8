import type { Clock } from '@skiff/runtime/clock';
import { sourceNetwork } from '@skiff/sftp-protocol/source-network';

interface Bucket {
  tokens: number;
  filledAt: number;
}

interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** A partner whose cron job has the wrong key tries every few minutes; a scanner tries all the time. */
const PER_SOURCE: Rate = { burst: 10, perSecond: 1 / 6 };
/** Over all sources: a botnet has many. */
const IN_ALL: Rate = { burst: 100, perSecond: 10 };
/** Sources that are remembered; the one not seen for longest goes first, and has its burst again. */
const MAX_SOURCES = 4_096;

/** How many failed logins are told of, so that whoever tries names and passwords cannot flood the applications. */
export class FailureRate {
  readonly #clock: Clock;
  readonly #bySource = new Map<string, Bucket>();
  readonly #all: Bucket;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#all = { tokens: IN_ALL.burst, filledAt: clock.monotonicMs() };
  }

  /** Whether one more from this address may be told. */
  admit(address: string): boolean {
    const now = this.#clock.monotonicMs();
    const source = sourceNetwork(address);
    const bucket = this.#bySource.get(source) ?? { tokens: PER_SOURCE.burst, filledAt: now };
    this.#bySource.delete(source);
    if (this.#bySource.size >= MAX_SOURCES) {
      const [oldest] = this.#bySource.keys();
      if (oldest !== undefined) this.#bySource.delete(oldest);
    }
    this.#bySource.set(source, bucket);
    // A source that is over its own share must not use up that of all.
    return take(bucket, PER_SOURCE, now) && take(this.#all, IN_ALL, now);
  }
}

function take(bucket: Bucket, { burst, perSecond }: Rate, now: number): boolean {
  bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledAt) / 1_000) * perSecond);
  bucket.filledAt = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens--;
  return true;
}
