import type { Permission } from '@skiff/model/permission';
import { parseVirtualPath, type VirtualPath } from '@skiff/model/virtual-path';
import type { SftpBackend } from '../backend.ts';
import type { BodyReader } from '../codec/body-reader.ts';
import type { Gate, GateRequest, RequestName } from './gate.ts';
import type { HandleTable } from './handle-table.ts';
import type { PathOrder } from './path-order.ts';

/** One row of a dispatch table. */
export interface RequestRow {
  readonly name: RequestName;
  /** Whether it changes something; an OPEN says so itself, by its flags. */
  readonly writes: boolean;
  /** What the user needs on the path. */
  readonly permission?: Permission;
  /** Parses, passes the gate and takes its place in every queue before its first await. Gives the parts of the reply. */
  readonly handle: (request: Request, row: RequestRow) => Promise<readonly Buffer[]>;
}

/** What the handlers of one channel share. */
export interface Workplace {
  readonly backend: SftpBackend;
  readonly handles: HandleTable;
  readonly order: PathOrder;
  readonly gate: Gate | undefined;
  readonly maxHandles: number;
  /** Seconds since 1970. */
  readonly now: () => number;
  /** Counts bytes that a READ will produce against the channel's output until it is answered. */
  readonly reserveOutput: (bytes: number) => void;
  /** The channel is gone: what is opened now must be given up at once. */
  readonly isReleased: () => boolean;
  readonly giveUp: (release: () => void) => void;
}

/** What is counted against the limits until a request is answered. */
export interface Flight {
  readonly id: number;
  readonly frameBytes: number;
  /** Bytes of output that a READ will produce. */
  reservedBytes: number;
}

/** A request being handled. */
export class Request implements Flight {
  readonly id: number;
  readonly frameBytes: number;
  readonly reader: BodyReader;
  readonly place: Workplace;
  reservedBytes = 0;

  constructor(id: number, frameBytes: number, reader: BodyReader, place: Workplace) {
    this.id = id;
    this.frameBytes = frameBytes;
    this.reader = reader;
    this.place = place;
  }

  reserveOutput(bytes: number): void {
    this.reservedBytes = bytes;
    this.place.reserveOutput(bytes);
  }

  /** Reads a path: the only place where a client's bytes become a path. @throws {PathError} */
  path(): VirtualPath {
    return parseVirtualPath(this.reader.string());
  }

  /** Reads the request's path and passes the gate. @throws {PathError} @throws {SftpError} */
  admittedPath(row: RequestRow): VirtualPath {
    const path = this.path();
    this.admit(row, path);
    return path;
  }

  /** @throws {SftpError} the gate's refusal. */
  admit(row: RequestRow, path: VirtualPath, more: Partial<Pick<GateRequest, 'writes' | 'permissions' | 'target'>> = {}): void {
    const permissions = row.permission === undefined ? [] : [row.permission];
    const refusal = this.place.gate?.({ name: row.name, writes: row.writes, permissions, path, ...more });
    if (refusal !== undefined) throw refusal;
  }

  inOrder<Result>(paths: readonly VirtualPath[], writes: boolean, task: () => Promise<Result>): Promise<Result> {
    return this.place.order.run(paths, writes, task);
  }

  /** The handle's four bytes; undefined for any other length, which is no handle of ours. */
  handleId(): number | undefined {
    const bytes = this.reader.string();
    return bytes.length === 4 ? bytes.readUInt32BE(0) : undefined;
  }
}
