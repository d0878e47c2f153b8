import { setTimeout as sleep } from 'node:timers/promises';
import { migrate, schemaVersion } from '@skiff/database/migrate';
import { isTransient, StoreError } from '@skiff/model/store-error';
import type { ProcessParts } from '../composition/process-parts.ts';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;
const REMIND_EVERY_MS = 30_000;

type DatabaseParts = Pick<ProcessParts, 'database' | 'logger' | 'clock'>;

/** Brings the schema up to date, however long the database is away. */
export function migrateWhenReady(parts: DatabaseParts, signal: AbortSignal): Promise<void> {
  const { database, logger } = parts;
  return whenReady(parts, signal, () => migrate(database, { signal, logger }));
}

/** Waits until the schema is one that this program can run on; the operator migrates it. */
export function waitForSchema(parts: DatabaseParts, signal: AbortSignal): Promise<void> {
  return whenReady(parts, signal, async () => {
    const { fit, version } = await schemaVersion(parts.database);
    switch (fit) {
      case 'fits':
        return;
      case 'tooOld':
        throw new StoreError({
          code: 'unavailable',
          message: `the schema is at version ${version}, older than this program: the operator has yet to migrate it`,
        });
      case 'tooNew':
        throw new StoreError({ code: 'unsupported', message: `the schema is at version ${version}, made for a newer program: upgrade this one` });
    }
  });
}

/** Repeats while the database is away; says so at once and again every half minute. */
async function whenReady({ logger, clock }: DatabaseParts, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  let remindedAt = Number.NEGATIVE_INFINITY;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      await work();
      return;
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error;
      if (clock.monotonicMs() - remindedAt >= REMIND_EVERY_MS) {
        remindedAt = clock.monotonicMs();
        logger.warn({ err: error }, 'waiting for the database (SKIFF_DATABASE_URL)');
      }
      await sleep(pause, undefined, { signal });
    }
  }
}
