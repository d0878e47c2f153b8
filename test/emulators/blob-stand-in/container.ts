import type { Payload } from './payload.ts';
import { RestError } from './rest-error.ts';
import { SortedNames } from './sorted-names.ts';

export interface Block {
  /** Base64, as sent. */
  readonly id: string;
  readonly payload: Payload;
}

export interface CopyState {
  readonly id: string;
  readonly status: 'success' | 'pending';
}

export interface Blob {
  /** Empty for a single put. */
  readonly blocks: readonly Block[];
  /** Of the blocks, or the one of a single put. */
  readonly payloads: readonly Payload[];
  readonly sizeBytes: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly contentType: string;
  readonly etag: string;
  readonly modifiedAt: Date;
  readonly copy?: CopyState;
}

export interface Conditions {
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

export type NewBlob = Pick<Blob, 'blocks' | 'payloads' | 'metadata' | 'contentType'> & { readonly copy?: CopyState };

/** One container: committed blobs and staged blocks, with the semantics of the Blob service. */
export class Container {
  readonly #blobs = new Map<string, Blob>();
  readonly #staged = new Map<string, Map<string, Payload>>();
  readonly #names = new SortedNames();
  #versions = 0;

  /** @throws {RestError} 404, or 412 when the condition does not hold. */
  existing(name: string, conditions: Conditions): Blob {
    const blob = this.#blobs.get(name);
    if (blob === undefined) throw new RestError(404, 'BlobNotFound');
    if (!holds(conditions, blob)) throw new RestError(412, 'ConditionNotMet');
    return blob;
  }

  find(name: string): Blob | undefined {
    return this.#blobs.get(name);
  }

  /** @throws {RestError} 409 or 412 */
  checkWrite(name: string, conditions: Conditions): void {
    const present = this.#blobs.get(name);
    if (conditions.ifNoneMatch === '*' && present !== undefined) throw new RestError(409, 'BlobAlreadyExists');
    if (!holds(conditions, present)) throw new RestError(412, 'ConditionNotMet');
  }

  write(name: string, blob: NewBlob, conditions: Conditions): Blob {
    this.checkWrite(name, conditions);
    const present = this.#blobs.get(name);
    if (present?.copy?.status === 'pending' && blob.copy?.id !== present.copy.id) throw new RestError(409, 'PendingCopyOperation');
    const sizeBytes = blob.payloads.reduce((sum, payload) => sum + payload.sizeBytes, 0);
    const written: Blob = { ...blob, sizeBytes, ...this.#nextVersion() };
    this.#blobs.set(name, written);
    this.#staged.delete(name);
    this.#names.add(name);
    return written;
  }

  setMetadata(name: string, metadata: Readonly<Record<string, string>>, conditions: Conditions): Blob {
    const changed: Blob = { ...this.existing(name, conditions), metadata, ...this.#nextVersion() };
    this.#blobs.set(name, changed);
    return changed;
  }

  remove(name: string, conditions: Conditions): void {
    this.existing(name, conditions);
    this.#blobs.delete(name);
    this.#names.remove(name);
  }

  stage(name: string, id: string, payload: Payload): void {
    if (payload.sizeBytes === 0) throw new RestError(400, 'InvalidHeaderValue');
    const staged = this.#staged.get(name) ?? new Map<string, Payload>();
    const known = staged.keys().next().value ?? this.#blobs.get(name)?.blocks[0]?.id;
    if (known !== undefined && decodedLength(known) !== decodedLength(id)) throw new RestError(400, 'InvalidBlobOrBlock');
    staged.set(id, payload);
    this.#staged.set(name, staged);
  }

  /** @throws {RestError} 404 when there is neither a blob nor a staged block. */
  blockLists(name: string): { readonly committed: readonly Block[]; readonly uncommitted: readonly Block[] } {
    const blob = this.#blobs.get(name);
    const staged = this.#staged.get(name);
    if (blob === undefined && staged === undefined) throw new RestError(404, 'BlobNotFound');
    return { committed: blob?.blocks ?? [], uncommitted: [...(staged ?? [])].map(([id, payload]) => ({ id, payload })) };
  }

  /** @throws {RestError} 400 `InvalidBlockList` */
  chosenBlocks(name: string, list: readonly { readonly kind: string; readonly id: string }[]): readonly Block[] {
    const staged = this.#staged.get(name) ?? new Map<string, Payload>();
    const committed = new Map(this.#blobs.get(name)?.blocks.map((block) => [block.id, block.payload]));
    return list.map(({ kind, id }) => {
      const payload = (kind === 'Committed' ? undefined : staged.get(id)) ?? (kind === 'Uncommitted' ? undefined : committed.get(id));
      if (payload === undefined) throw new RestError(400, 'InvalidBlockList');
      return { id, payload };
    });
  }

  /** Blobs and, with a delimiter, prefixes (which end in it), from `marker` on. */
  list(query: { readonly prefix: string; readonly delimiter: string; readonly marker: string; readonly maxResults: number }): ListPage {
    const { prefix, delimiter, maxResults } = query;
    const items: ListItem[] = [];
    const start = [query.marker, prefix].sort(byCodeUnit)[1] ?? prefix;
    let next = this.#names.firstFrom(start);
    while (next?.startsWith(prefix) === true && items.length < maxResults) {
      const cut = delimiter === '' ? -1 : next.indexOf(delimiter, prefix.length);
      const blob = this.#blobs.get(next);
      if (cut === -1) {
        if (blob !== undefined) items.push({ name: next, blob });
        next = this.#names.firstFrom(`${next}\0`);
      } else {
        const common = next.slice(0, cut + delimiter.length);
        items.push({ name: common, blob: undefined });
        next = this.#names.firstFrom(successorOf(common));
      }
    }
    return { items, nextMarker: next?.startsWith(prefix) === true ? next : '' };
  }

  #nextVersion(): { readonly etag: string; readonly modifiedAt: Date } {
    const modifiedAt = new Date();
    modifiedAt.setMilliseconds(0);
    return { etag: `"0x${(++this.#versions).toString(16).toUpperCase().padStart(15, '0')}"`, modifiedAt };
  }
}

export interface ListItem {
  readonly name: string;
  /** Absent for a prefix. */
  readonly blob: Blob | undefined;
}

export interface ListPage {
  readonly items: readonly ListItem[];
  readonly nextMarker: string;
}

function holds({ ifMatch, ifNoneMatch }: Conditions, blob: Blob | undefined): boolean {
  if (ifMatch !== undefined && (blob === undefined || (ifMatch !== '*' && ifMatch !== blob.etag))) return false;
  return ifNoneMatch === undefined || blob === undefined || (ifNoneMatch !== '*' && ifNoneMatch !== blob.etag);
}

function decodedLength(id: string): number {
  return Buffer.from(id, 'base64').length;
}

/** The least name that sorts after everything that begins with `prefix`. */
function successorOf(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : 1;
}
