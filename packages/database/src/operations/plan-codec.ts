import { promisify } from 'node:util';
import { deflate, inflate } from 'node:zlib';
import { type FileEvent, formatSequence } from '@skiff/model/file-event';
import { parseFileEvent } from '@skiff/model/parse-file-event';
import { StoreError } from '@skiff/model/store-error';
import type { BlockRef } from '@skiff/model/upload-state';
import type { CommitPlan, PendingEvent } from '../operation-log.ts';

const deflateAsync = promisify(deflate);
const inflateAsync = promisify(inflate);

/** Above this the JSON is deflated: 50,000 block ids of one upload differ in few digits. */
const DEFLATE_ABOVE_BYTES = 4_096;
const MAX_INFLATED_BYTES = 64 << 20;
/** What one statement takes with MariaDB's default packet of 16 MiB, in hexadecimal. */
const MAX_STORED_BYTES = 7 << 20;
const OPENING_BRACE = 0x7b;

export interface EncodedPlan {
  readonly plan: Buffer;
  readonly event: Buffer;
  readonly priorEtag: string | null;
}

/** @throws {StoreError} `invalid` when the plan is too large for a statement. */
export async function encodePlan(plan: CommitPlan): Promise<EncodedPlan> {
  const { blocks, sizeBytes, priorEtag, sourceEtag, metadata, event } = plan;
  const json = Buffer.from(JSON.stringify({ blocks: blocks.map((block) => [block.id, block.sizeBytes]), sizeBytes, priorEtag, sourceEtag, metadata }));
  const stored = json.length > DEFLATE_ABOVE_BYTES ? await deflateAsync(json, { level: 1 }) : json;
  if (stored.length > MAX_STORED_BYTES) {
    throw new StoreError({ code: 'invalid', vendorCode: 'PLAN_TOO_LARGE', message: `the list of ${blocks.length} blocks is too large for the database` });
  }
  return { plan: stored, event: Buffer.from(JSON.stringify(event)), priorEtag };
}

/** @throws {StoreError} `invalid` for bytes that {@link encodePlan} has not made. */
export async function decodePlan(stored: Buffer, storedEvent: Buffer): Promise<CommitPlan> {
  const json = stored[0] === OPENING_BRACE ? stored : await inflateAsync(stored, { maxOutputLength: MAX_INFLATED_BYTES });
  const value: unknown = JSON.parse(json.toString('utf8'));
  if (typeof value !== 'object' || value === null) throw unreadable('plan');
  const { blocks, sizeBytes, priorEtag, sourceEtag, metadata }: Record<string, unknown> = { ...value };
  if (!Array.isArray(blocks) || typeof sizeBytes !== 'number' || !isStringRecord(metadata)) throw unreadable('plan');
  if (priorEtag !== null && typeof priorEtag !== 'string') throw unreadable('plan');
  if (sourceEtag !== undefined && typeof sourceEtag !== 'string') throw unreadable('plan');
  return {
    blocks: blocks.map(toBlock),
    sizeBytes,
    priorEtag,
    ...(sourceEtag === undefined ? {} : { sourceEtag }),
    metadata,
    event: decodeEvent(storedEvent),
  };
}

export function decodeEvent(stored: Buffer): PendingEvent {
  const event = parseFileEvent(JSON.parse(stored.toString('utf8')));
  if (event === undefined) throw unreadable('event');
  return event;
}

export interface EventResult {
  readonly sequence: string;
  readonly etag: string | null;
  readonly unconfirmed: boolean;
}

/** The event as it goes out, with what only the commit could tell. */
export function finishEvent(event: PendingEvent, result: EventResult): FileEvent {
  const { data } = event;
  return {
    ...event,
    sequence: formatSequence(BigInt(result.sequence)),
    data: {
      ...data,
      blob: result.etag === null ? data.blob : { ...data.blob, etag: result.etag },
      ...(result.unconfirmed ? { unconfirmed: true } : {}),
    },
  };
}

function toBlock(entry: unknown): BlockRef {
  if (!Array.isArray(entry)) throw unreadable('block list');
  const [id, sizeBytes]: readonly unknown[] = entry;
  if (typeof id !== 'string' || typeof sizeBytes !== 'number') throw unreadable('block list');
  return { id, sizeBytes };
}

function isStringRecord(value: unknown): value is Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null && Object.values(value).every((entry) => typeof entry === 'string');
}

function unreadable(what: string): StoreError {
  return new StoreError({
    code: 'invalid',
    vendorCode: 'ROW_UNREADABLE',
    message: `the ${what} of an operation's row cannot be read: it was not written by this program`,
  });
}
