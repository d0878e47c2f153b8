import type { Queue } from './queue.ts';
import type { WriteAheadLog } from './write-ahead-log.ts';

/** The holder of one session's lock. */
export interface SessionHolder {
  readonly sessionId: string;
  /** Milliseconds since 1970. */
  until: number;
  timer: NodeJS.Timeout | undefined;
  /** Tells the link that its lock has run out. */
  readonly onLost: () => void;
}

/** Session locks, states, and those who wait for any session to become free. */
export class Sessions {
  readonly #queue: Queue;
  readonly #log: WriteAheadLog;
  readonly #holders = new Map<string, SessionHolder>();
  readonly #states = new Map<string, Buffer>();
  readonly #waiting = new Set<(sessionId: string) => void>();
  #offering = false;

  constructor(queue: Queue, log: WriteAheadLog) {
    this.#queue = queue;
    this.#log = log;
  }

  /** `undefined` when somebody holds the session. */
  accept(sessionId: string, onLost: () => void): SessionHolder | undefined {
    if (this.#holders.has(sessionId)) return undefined;
    const holder: SessionHolder = { sessionId, until: 0, timer: undefined, onLost };
    this.#holders.set(sessionId, holder);
    this.renew(holder);
    return holder;
  }

  holderOf(sessionId: string): SessionHolder | undefined {
    return this.#holders.get(sessionId);
  }

  renew(holder: SessionHolder): void {
    const { lockMs } = this.#queue.settings;
    holder.until = Date.now() + lockMs;
    clearTimeout(holder.timer);
    holder.timer = setTimeout(() => {
      this.release(holder);
      holder.onLost();
    }, lockMs);
  }

  release(holder: SessionHolder): void {
    clearTimeout(holder.timer);
    if (this.#holders.get(holder.sessionId) !== holder) return;
    this.#holders.delete(holder.sessionId);
    this.#queue.releaseHeldBy(holder);
    this.offer();
  }

  /** A session with messages that nobody holds. */
  free(): string | undefined {
    return this.#queue.ready.find(({ sessionId }) => sessionId !== undefined && !this.#holders.has(sessionId))?.sessionId;
  }

  /** Calls back once with a free session; the returned function ends the wait. */
  wait(onFree: (sessionId: string) => void): () => void {
    this.#waiting.add(onFree);
    return () => this.#waiting.delete(onFree);
  }

  offer(): void {
    if (this.#offering || this.#waiting.size === 0) return;
    this.#offering = true;
    setImmediate(() => {
      this.#offering = false;
      for (const onFree of [...this.#waiting]) {
        const sessionId = this.free();
        if (sessionId === undefined) return;
        this.#waiting.delete(onFree);
        onFree(sessionId);
      }
    });
  }

  stateOf(sessionId: string): Buffer | undefined {
    return this.#states.get(sessionId);
  }

  setState(sessionId: string, state: Buffer | undefined, onDurable: () => void): void {
    this.restoreState(sessionId, state);
    this.#log.append({ kind: 'sessionState', queue: this.#queue.name, sessionId, state: state?.toString('base64') ?? null }, onDurable);
  }

  restoreState(sessionId: string, state: Buffer | undefined): void {
    if (state === undefined) this.#states.delete(sessionId);
    else this.#states.set(sessionId, state);
  }

  states(): Iterable<readonly [string, Buffer]> {
    return this.#states;
  }
}
