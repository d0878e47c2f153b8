import { createHash } from 'node:crypto';
import type { RowStep } from '@skiff/database/resource-rows';
import { objectKey } from '@skiff/model/object-meta';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import { StoreError } from '@skiff/model/store-error';
import { completeConditions, type ProgrammedState } from '@skiff/policy/complete-conditions';
import { publishStatus } from '../publish-status.ts';
import { refFromKey, refKey, type StatusDetails } from '../resource-source.ts';
import { canonicalJson } from './canonical-json.ts';
import { evaluate } from './evaluate.ts';
import type { ReconcileContext } from './reconcile-context.ts';
import type { OwnedRow, RowStage, TranslatedItem } from './row-stage.ts';

export interface RowResult {
  /** True: something could not be done now. */
  readonly retry: boolean;
  /** When the answer changes by time alone. */
  readonly revisitAt: Date | null;
  /** What the endpoint has to say of the database; undefined: it answers. */
  readonly databaseProblem: string | undefined;
}

interface Published<Row> {
  readonly items: readonly TranslatedItem<Row>[];
  readonly details: ReadonlyMap<string, StatusDetails>;
  readonly databaseProblem: string | undefined;
}

/** Rows written in one transaction: below a second, and far below `max_allowed_packet`. */
const STEPS_PER_TRANSACTION = 500;
/** Status writes under way at a time: against a cluster each is a request. */
const STATUS_BATCH = 16;

/**
 * Brings the rows of one kind and one endpoint to what the source says, and tells each object what became of it. Rows that are
 * right are not written, conditions that are true are not repeated.
 */
export class RowReconciler<Row extends OwnedRow> {
  readonly #context: Omit<ReconcileContext, 'sink' | 'hostKeys'>;
  readonly #stage: RowStage<Row>;
  /** Per endpoint: a digest of the row that each object has in the database, as far as this process knows. */
  readonly #programmed = new Map<string, ReadonlyMap<string, string>>();

  constructor(context: Omit<ReconcileContext, 'sink' | 'hostKeys'>, stage: RowStage<Row>) {
    this.#context = context;
    this.#stage = stage;
  }

  /** @throws {StoreError} when the source cannot say what should be; nothing has then been touched. */
  async reconcile(endpointKey: string): Promise<RowResult> {
    const { source, logger } = this.#context;
    const endpoint = source.endpoints().find(({ metadata }) => objectKey(metadata) === endpointKey && metadata.deletionTimestamp === undefined);
    if (endpoint === undefined && source.mayExist(refFromKey('SftpEndpoint', endpointKey)))
      return { retry: false, revisitAt: null, databaseProblem: undefined };
    const { items, revisitAt } = await this.#stage.translate(endpointKey, endpoint);
    let databaseProblem: string | undefined;
    let details: ReadonlyMap<string, StatusDetails> = new Map();
    try {
      details = await this.#program(endpointKey, endpoint, items);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // The code alone: a message that differs from try to try would be a change of every condition.
      databaseProblem = `the database cannot be used (${error.code}); it is tried again`;
      logger.warn({ endpoint: endpointKey, kind: this.#stage.kind, err: error }, 'rows cannot be written');
    }
    const published = await this.#publish(endpointKey, { items, details, databaseProblem });
    return { retry: databaseProblem !== undefined || !published, revisitAt, databaseProblem };
  }

  async #program(endpointKey: string, endpoint: SftpEndpoint | undefined, items: readonly TranslatedItem<Row>[]): Promise<ReadonlyMap<string, StatusDetails>> {
    const { repository, logger } = this.#context;
    const endpointId =
      endpoint === undefined ? await this.#knownId(endpointKey) : await repository.endpointId(endpoint.metadata.namespace, endpoint.metadata.name);
    const desired = items.map(({ row }) => row).filter((row) => row !== undefined);
    if (endpointId !== undefined) {
      const actual = await this.#load(endpointId, desired);
      const steps = this.#withoutGuesses(evaluate(desired, actual, this.#stage.keyOf), actual, items);
      await this.#apply(endpointId, steps);
      const deletes = steps.filter((step) => step.kind === 'delete').length;
      if (steps.length > 0) logger.info({ endpoint: endpointKey, kind: this.#stage.kind, puts: steps.length - deletes, deletes }, 'rows written');
    }
    if (endpoint === undefined) this.#programmed.delete(endpointKey);
    else this.#programmed.set(endpointKey, new Map(items.map(({ ref, row }) => [refKey(ref), digest(row)])));
    return (endpointId === undefined ? undefined : await this.#stage.details?.(endpointId)) ?? new Map();
  }

  /** A damaged row hides all others; writing what should be there anew repairs it. */
  async #load(endpointId: number, desired: readonly Row[]): Promise<readonly Row[]> {
    try {
      return await this.#stage.load(endpointId);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'invalid') throw error;
      this.#context.logger.warn({ endpointId, kind: this.#stage.kind, err: error }, 'rows are damaged and written anew');
      await this.#apply(
        endpointId,
        desired.map((row) => ({ kind: 'put', row })),
      );
      return await this.#stage.load(endpointId);
    }
  }

  async #apply(endpointId: number, steps: readonly RowStep<Row, string>[]): Promise<void> {
    for (let start = 0; start < steps.length; start += STEPS_PER_TRANSACTION) {
      await this.#stage.apply(endpointId, steps.slice(start, start + STEPS_PER_TRANSACTION));
    }
  }

  /** Without making a number for an endpoint that is not there. */
  async #knownId(endpointKey: string): Promise<number | undefined> {
    return (await this.#context.repository.endpoints()).find((row) => objectKey(row) === endpointKey)?.id;
  }

  /** Leaves alone the rows of objects that the source neither lists nor knows to be gone. */
  #withoutGuesses(steps: readonly RowStep<Row, string>[], actual: readonly Row[], items: readonly TranslatedItem<Row>[]): readonly RowStep<Row, string>[] {
    const { source, logger } = this.#context;
    const listed = new Set(items.map(({ ref }) => refKey(ref)));
    const { kind, keyOf } = this.#stage;
    const uncertain = actual
      .map(({ namespace, name }, index) => ({ ref: { kind, namespace, name }, index }))
      .filter(({ ref }) => !listed.has(refKey(ref)) && source.mayExist(ref));
    if (uncertain.length === 0) return steps;
    const kept = new Set(
      uncertain
        .map(({ index }) => actual[index])
        .filter((row) => row !== undefined)
        .map(keyOf),
    );
    const certain = steps.filter((step) => !kept.has(step.kind === 'delete' ? step.key : keyOf(step.row)));
    logger.warn({ kind, postponed: steps.length - certain.length }, 'rows are kept until the source is readable');
    return certain;
  }

  /** False when a status could not be written. */
  async #publish(endpointKey: string, { items, details, databaseProblem }: Published<Row>): Promise<boolean> {
    let complete = true;
    for (let start = 0; start < items.length; start += STATUS_BATCH) {
      const batch = items.slice(start, start + STATUS_BATCH);
      await Promise.all(
        batch.map(async (item) => {
          try {
            const conditions = completeConditions(item.verdict, this.#programmedState(endpointKey, item, databaseProblem));
            await publishStatus(this.#context, item.ref, conditions, details.get(objectKey(item.ref)));
          } catch (error) {
            if (!(error instanceof StoreError)) throw error;
            complete = false;
            this.#context.logger.warn({ ref: refKey(item.ref), err: error }, 'status cannot be written');
          }
        }),
      );
    }
    return complete;
  }

  /**
   * An outage of the database is a matter of the endpoint: objects whose row is known to be right say nothing about it, or 4,000
   * of them would change their status at once. Before the first success of this process the last status is believed.
   */
  #programmedState(endpointKey: string, item: TranslatedItem<Row>, databaseProblem: string | undefined): ProgrammedState {
    if (databaseProblem === undefined) return { status: 'True' };
    const known = this.#programmed.get(endpointKey);
    const last = this.#context.source.status(item.ref)?.conditions?.find(({ type }) => type === 'Programmed');
    const wasProgrammed = last?.status === 'True' && last.observedGeneration === item.verdict.observedGeneration;
    const isProgrammed = known === undefined ? wasProgrammed : known.get(refKey(item.ref)) === digest(item.row);
    return isProgrammed ? { status: 'True' } : { status: 'False', reason: 'DatabaseUnavailable', message: databaseProblem };
  }
}

function digest(row: unknown): string {
  return row === undefined ? '' : createHash('sha256').update(canonicalJson(row)).digest('base64');
}
