import { closeSync, existsSync, fdatasync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, write, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';

const COMPACT_ABOVE_BYTES = 256 * 1024 * 1024;

export const LoggedMessage = Type.Object({
  sequence: Type.Integer(),
  /** The bare message in base64. */
  body: Type.String(),
  enqueuedAt: Type.Number(),
  scheduledFor: Type.Number(),
  expiresAt: Type.Number(),
  deliveryCount: Type.Integer(),
  deferred: Type.Boolean(),
  timeToLiveMs: Type.Optional(Type.Number()),
  sessionId: Type.Optional(Type.String()),
  messageId: Type.Optional(Type.String()),
  partitionKey: Type.Optional(Type.String()),
});
export type LoggedMessage = Static<typeof LoggedMessage>;

/** One line of the log each. */
export const LogRecord = Type.Union([
  Type.Object({ kind: Type.Literal('put'), queue: Type.String(), message: LoggedMessage, at: Type.Number() }),
  Type.Object({ kind: Type.Literal('remove'), queue: Type.String(), sequence: Type.Integer() }),
  Type.Object({ kind: Type.Literal('update'), queue: Type.String(), message: LoggedMessage }),
  Type.Object({ kind: Type.Literal('move'), from: Type.String(), queue: Type.String(), message: LoggedMessage }),
  Type.Object({ kind: Type.Literal('seen'), queue: Type.String(), messageId: Type.String(), at: Type.Number() }),
  Type.Object({ kind: Type.Literal('sessionState'), queue: Type.String(), sessionId: Type.String(), state: Type.Union([Type.String(), Type.Null()]) }),
  Type.Object({ kind: Type.Literal('sequence'), sequence: Type.Integer() }),
]);
export type LogRecord = Static<typeof LogRecord>;

export interface WriteAheadLogProps {
  readonly dir: string;
  readonly fsync: boolean;
  /** The live state as records, for a shorter log. Must hold only what is durable already. */
  readonly snapshot: () => Iterable<LogRecord>;
}

/** Appends records; those that arrive while a write is under way share the next write and its fsync (group commit). */
export class WriteAheadLog {
  readonly #props: WriteAheadLogProps;
  readonly #file: string;
  #fd: number | undefined;
  #lines: string[] = [];
  #durable: (() => void)[] = [];
  #busy = false;
  #bytes = 0;

  constructor(props: WriteAheadLogProps) {
    this.#props = props;
    mkdirSync(props.dir, { recursive: true });
    this.#file = join(props.dir, 'log.jsonl');
  }

  /** Every record in order. A torn last line was never acknowledged and is left out. */
  *replay(): Iterable<LogRecord> {
    if (!existsSync(this.#file)) return;
    const lines = readFileSync(this.#file, 'utf8').split('\n');
    for (const line of lines) {
      const record = parseLine(line);
      if (record !== undefined) yield record;
    }
  }

  /** Rewrites the log from the snapshot. The first call, after the replay, opens it for appending. */
  compact(): void {
    const lines = Array.from(this.#props.snapshot(), (record) => `${JSON.stringify(record)}\n`);
    const next = openSync(`${this.#file}.new`, 'w', 0o600);
    this.#bytes = 0;
    for (const line of lines) this.#bytes += line.length;
    writeFileSync(next, lines.join(''));
    fsyncSync(next);
    renameSync(`${this.#file}.new`, this.#file);
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = next;
  }

  /** `onDurable` runs once the record is on disk. */
  append(record: LogRecord, onDurable?: () => void): void {
    this.#lines.push(`${JSON.stringify(record)}\n`);
    this.barrier(onDurable);
  }

  /** `onDurable` runs once everything appended so far is on disk. */
  barrier(onDurable?: () => void): void {
    if (onDurable !== undefined) this.#durable.push(onDurable);
    if (this.#busy) return;
    this.#busy = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    if (this.#lines.length === 0 && this.#durable.length === 0) {
      this.#busy = false;
      return;
    }
    const data = Buffer.from(this.#lines.join(''));
    const durable = this.#durable;
    this.#lines = [];
    this.#durable = [];
    const done = (error: Error | null): void => {
      // Without its log the broker must not confirm anything more.
      if (error !== null) throw error;
      for (const callback of durable) callback();
      this.#bytes += data.length;
      if (this.#bytes > COMPACT_ABOVE_BYTES) this.compact();
      this.#flush();
    };
    this.#writeAll(data, done);
  }

  #writeAll(data: Buffer, done: (error: Error | null) => void): void {
    const fd = this.#fd;
    if (fd === undefined) throw new Error('the log is not open');
    if (data.length === 0) {
      done(null);
      return;
    }
    write(fd, data, (error, written) => {
      if (error !== null) done(error);
      else if (written < data.length) this.#writeAll(data.subarray(written), done);
      else if (this.#props.fsync) fdatasync(fd, done);
      else done(null);
    });
  }
}

function parseLine(line: string): LogRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  return Value.Check(LogRecord, value) ? value : undefined;
}
