import { decide, type LockedRow, type Step } from '@skiff/database/transition';
import type { OperationId } from '@skiff/model/upload-state';

/**
 * One path and everything that can happen to it, as plain values: the rows of two uploads, the lock, the blob with its staged
 * blocks, requests under way in the network, the events and what clients were told. Transitions of rows go through the
 * product's own `decide`.
 */
export interface World {
  readonly rows: Readonly<Record<string, Row>>;
  /** Who holds the path's lock. */
  readonly lock: string | null;
  readonly blob: { readonly id: string; readonly etag: number } | null;
  /** Uploads whose staged blocks are there. */
  readonly staged: readonly string[];
  readonly etags: number;
  readonly sequences: number;
  /** Every version that ever was, in order. */
  readonly versions: readonly string[];
  readonly events: readonly { readonly id: string; readonly sequence: number }[];
  readonly acknowledged: readonly string[];
  readonly writers: Readonly<Record<string, Writer>>;
  readonly recoveries: Readonly<Record<string, Recovery>>;
  /** Requests that may still reach the store, each at any time. */
  readonly network: readonly Request[];
  /** What outside tools may still do, and how many crashes may still happen. */
  readonly outside: number;
  readonly crashes: number;
}

export interface Row {
  readonly state: 'none' | 'open' | 'committing' | 'committed' | 'aborted';
  readonly epoch: number;
  /** `null`: parked. */
  readonly owner: 'writer' | 'recovery' | null;
  readonly prior: number | null;
  /** A request of this upload has demanded that nothing be there: such a one may land whenever nothing is. */
  readonly everAbsent: boolean;
  readonly sequence: number;
  /** Recovery has promised to look for a version that lands late. */
  readonly lookAgain: boolean;
}

export type WriterStep = 'idle' | 'opened' | 'staged' | 'committing' | 'sent' | 'answered' | 'done';

/** A client's upload in a living process. `single`: one put, whose bytes only this process has. */
export interface Writer {
  readonly step: WriterStep;
  readonly single: boolean;
  readonly alive: boolean;
  readonly epoch: number;
  readonly prior: number | null;
  readonly tries: number;
  readonly answer: Answer | null;
}

/** A pod that finishes what another left. */
export interface Recovery {
  readonly step: 'idle' | 'adopted' | 'landed' | 'hopeless';
  readonly epoch: number;
}

export type Answer = 'ok' | 'conflict' | 'blocksGone';

export interface Request {
  readonly id: string;
  readonly single: boolean;
  readonly prior: number | null;
  /** The answer reaches this try of the writer, if it still waits for it. */
  readonly tryOf: number;
}

export interface Rules {
  /** P2.7: recovery of a single put over an existing blob changes the blob's ETag first. */
  readonly fence: boolean;
  /** P2.7: an aborted single put is looked for again. */
  readonly lookAgain: boolean;
  /** Transitions compare epochs. */
  readonly epochs: boolean;
  /** P2.4: on a conflict the own id on the blob means success. */
  readonly ownId: boolean;
  /** P2.2: the client is answered only after the row is committed. */
  readonly rowBeforeAnswer: boolean;
  /** P2.1: the lock is held until the end. */
  readonly lock: boolean;
}

export const RULES: Rules = { fence: true, lookAgain: true, epochs: true, ownId: true, rowBeforeAnswer: true, lock: true };

/** Whether a step of a row's owner is still its own; by the product's own table. */
export function permitted(world: World, rules: Rules, call: { readonly id: string; readonly epoch: number; readonly step: Step }): boolean {
  const row = world.rows[call.id];
  if (row === undefined || row.state === 'none') return false;
  const locked: LockedRow = {
    id: call.id as OperationId,
    state: row.state,
    epoch: rules.epochs ? row.epoch : call.epoch,
    owner: row.owner,
    sequence: String(row.sequence),
    adoption: null,
  };
  return decide(call.step, { id: locked.id, epoch: call.epoch }, locked) !== 'displaced';
}

export function setRow(world: World, id: string, change: Partial<Row>): World {
  const row = world.rows[id];
  return row === undefined ? world : { ...world, rows: { ...world.rows, [id]: { ...row, ...change } } };
}

export function setWriter(world: World, id: string, change: Partial<Writer>): World {
  const writer = world.writers[id];
  return writer === undefined ? world : { ...world, writers: { ...world.writers, [id]: { ...writer, ...change } } };
}

export function setRecovery(world: World, id: string, change: Partial<Recovery>): World {
  const recovery = world.recoveries[id];
  return recovery === undefined ? world : { ...world, recoveries: { ...world.recoveries, [id]: { ...recovery, ...change } } };
}

/** What the store does with a write. Conditional, atomic, and a commit drops everybody's staged blocks. */
export function write(world: World, request: Pick<Request, 'id' | 'single' | 'prior'>): { readonly world: World; readonly answer: Answer } {
  if ((world.blob?.etag ?? null) !== request.prior) return { world, answer: 'conflict' };
  if (!request.single && !world.staged.includes(request.id)) return { world, answer: 'blocksGone' };
  const etags = world.etags + 1;
  return {
    answer: 'ok',
    world: { ...world, blob: { id: request.id, etag: etags }, etags, staged: [], versions: [...world.versions, request.id] },
  };
}
