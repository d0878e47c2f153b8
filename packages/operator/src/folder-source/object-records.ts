import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isRecord } from '@skiff/model/is-record';
import type { ObjectMeta } from '@skiff/model/object-meta';
import type { SftpResource } from '@skiff/model/parse-resource';
import { readJsonFile, writeFileAtomically } from '../durable-file.ts';
import { canonicalJson } from '../reconcile/canonical-json.ts';

/** What an API server remembers of an object and a folder of files does not. */
interface ObjectRecord {
  readonly creationTimestamp: string;
  readonly generation: number;
  readonly specHash: string;
}

/**
 * Gives each object its uid (a stable hash of its name), its generation (rises when its spec changes) and its creation time
 * (when it was first seen, so that "the oldest wins" survives a restart). Kept in `objects.json` of the state folder.
 */
export interface ObjectRecords {
  /** The objects with their metadata filled in, in the same order. */
  stamp(resources: ReadonlyMap<string, SftpResource>, now: Date): ReadonlyMap<string, SftpResource>;
  /** Forgets objects that are gone: one that comes back later is a new one. */
  prune(present: (ref: string) => boolean): void;
  /** Writes what has changed. @throws the system's error. */
  save(signal: AbortSignal): Promise<void>;
}

/** @throws {SyntaxError | Error} when the file is there and cannot be read: going on would forget who came first. */
export async function openObjectRecords(stateDirectory: string, signal: AbortSignal): Promise<ObjectRecords> {
  const file = join(stateDirectory, 'objects.json');
  const records = parseRecords(await readJsonFile(file, signal), file);
  const stampedBefore = new WeakMap<SftpResource, Stamped>();
  let dirty = false;
  return {
    stamp(resources, now) {
      const stamped = new Map<string, SftpResource>();
      for (const [ref, resource] of resources) {
        const known = records.get(ref);
        const before = stampedBefore.get(resource);
        if (before !== undefined && before.record === known) {
          stamped.set(ref, before.resource);
          continue;
        }
        const record = nextRecord(known, resource, now);
        if (record !== known) {
          records.set(ref, record);
          dirty = true;
        }
        const made = withMetadata(resource, ref, record);
        stampedBefore.set(resource, { record, resource: made });
        stamped.set(ref, made);
      }
      return stamped;
    },
    prune(present) {
      for (const ref of records.keys()) {
        if (present(ref)) continue;
        records.delete(ref);
        dirty = true;
      }
    },
    async save(signal) {
      if (!dirty) return;
      await writeFileAtomically(file, JSON.stringify({ version: 1, objects: Object.fromEntries(records) }), { mode: 0o600, signal });
      dirty = false;
    },
  };
}

/** What came of an object that was read, so that one whose file has not changed costs nothing and stays the same object. */
interface Stamped {
  readonly record: ObjectRecord;
  readonly resource: SftpResource;
}

function nextRecord(known: ObjectRecord | undefined, resource: SftpResource, now: Date): ObjectRecord {
  const specHash = sha256(canonicalJson(resource.spec));
  if (known === undefined) return { creationTimestamp: now.toISOString(), generation: 1, specHash };
  return known.specHash === specHash ? known : { ...known, generation: known.generation + 1, specHash };
}

function withMetadata(resource: SftpResource, ref: string, record: ObjectRecord): SftpResource {
  const { creationTimestamp, generation } = record;
  const metadata: ObjectMeta = { ...resource.metadata, uid: uidOf(ref), generation, creationTimestamp };
  return { ...resource, metadata };
}

/** In the form of a UUID (RFC 9562, version 8: the bits are the maker's own). */
function uidOf(ref: string): string {
  const hex = sha256(ref);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function parseRecords(value: unknown, file: string): Map<string, ObjectRecord> {
  const records = new Map<string, ObjectRecord>();
  if (value === undefined) return records;
  if (!isRecord(value) || value.version !== 1 || !isRecord(value.objects)) throw new SyntaxError(`${file} is not a record of objects`);
  for (const [ref, record] of Object.entries(value.objects)) {
    if (!isRecord(record)) throw new SyntaxError(`${file} holds a broken record of ${ref}`);
    const { creationTimestamp, generation, specHash } = record;
    if (typeof creationTimestamp !== 'string' || typeof generation !== 'number' || typeof specHash !== 'string') {
      throw new SyntaxError(`${file} holds a broken record of ${ref}`);
    }
    records.set(ref, { creationTimestamp, generation, specHash });
  }
  return records;
}
