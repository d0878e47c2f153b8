import { initialMigration } from './0001-initial.ts';
import { lateLandingsMigration } from './0002-late-landings.ts';
import { routeCountersMigration } from './0003-route-counters.ts';
import { directoryRenamesMigration } from './0004-directory-renames.ts';
import { routeFailuresMigration } from './0005-route-failures.ts';
import { deliveryOrderMigration } from './0006-delivery-order.ts';
import type { Migration } from './migration.ts';

/** In order of their versions. */
export const MIGRATIONS: readonly Migration[] = [
  initialMigration,
  lateLandingsMigration,
  routeCountersMigration,
  directoryRenamesMigration,
  routeFailuresMigration,
  deliveryOrderMigration,
];
