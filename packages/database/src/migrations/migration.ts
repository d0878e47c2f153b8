/**
 * One step of the schema. Rules (expand/contract, DESIGN P9): versions N and N-1 of the program run side by side on the newer
 * schema, so a migration may only add: tables, nullable or defaulted columns, indexes. What a newer program no longer needs is
 * dropped one release later, in a migration that raises `compatibleFrom` to the version whose program had stopped using it.
 * MySQL commits each DDL statement by itself, so each must be safe to run again (`IF NOT EXISTS`): a migration that was cut
 * off is run again from its first statement. A released migration never changes.
 */
export interface Migration {
  /** 1, 2, 3, … without gaps. */
  readonly version: number;
  readonly name: string;
  /** Programs whose newest known migration is at least this still work once this one has run. */
  readonly compatibleFrom: number;
  readonly statements: readonly string[];
}
