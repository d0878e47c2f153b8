import type { RowStep } from '@skiff/database/resource-rows';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { Verdict } from '@skiff/policy/complete-conditions';
import type { ResourceRef, StatusDetails } from '../resource-source.ts';

/** What every row says of the object that it comes from. */
export interface OwnedRow {
  readonly namespace: string;
  readonly name: string;
}

/** One object of an endpoint, translated. */
export interface TranslatedItem<Row> {
  readonly ref: ResourceRef;
  /** Undefined: nothing of the object is in force. */
  readonly row: Row | undefined;
  readonly verdict: Verdict;
}

export interface TranslatedItems<Row> {
  readonly items: readonly TranslatedItem<Row>[];
  /** When the answer changes by time alone. */
  readonly revisitAt: Date | null;
}

/** One kind of object that becomes rows of an endpoint: users, routes. */
export interface RowStage<Row extends OwnedRow> {
  readonly kind: 'SftpUser' | 'EventRoute';
  readonly keyOf: (row: Row) => string;
  /** The objects that name this endpoint. `endpoint` is undefined when there is none. @throws {StoreError} when it cannot be said now. */
  translate(endpointKey: string, endpoint: SftpEndpoint | undefined): Promise<TranslatedItems<Row>>;
  /** @throws {StoreError} */
  load(endpointId: number): Promise<readonly Row[]>;
  /** What the statuses hold beside conditions, by `namespace/name`. @throws {StoreError} */
  details?(endpointId: number): Promise<ReadonlyMap<string, StatusDetails>>;
  /** @throws {StoreError} */
  apply(endpointId: number, steps: readonly RowStep<Row, string>[]): Promise<void>;
}
