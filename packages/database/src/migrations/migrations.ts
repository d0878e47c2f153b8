import { initialMigration } from './0001-initial.ts';
import type { Migration } from './migration.ts';

/** In order of their versions. */
export const MIGRATIONS: readonly Migration[] = [initialMigration];
