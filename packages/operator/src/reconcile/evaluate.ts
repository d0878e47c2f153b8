import type { RowStep } from '@skiff/database/resource-rows';
import { canonicalJson } from './canonical-json.ts';

/**
 * The steps that turn the rows that are there into those that should be: none where they agree. Rows compare by what they
 * say, not by the order in which a database keeps the keys of its JSON. Deletes come first, so that a name is free before it is used.
 */
export function evaluate<Row>(desired: readonly Row[], actual: readonly Row[], keyOf: (row: Row) => string): readonly RowStep<Row, string>[] {
  const present = new Map(actual.map((row) => [keyOf(row), canonicalJson(row)]));
  const wanted = new Map(desired.map((row) => [keyOf(row), row]));
  const steps: RowStep<Row, string>[] = [];
  for (const key of present.keys()) if (!wanted.has(key)) steps.push({ kind: 'delete', key });
  for (const [key, row] of wanted) if (present.get(key) !== canonicalJson(row)) steps.push({ kind: 'put', row });
  return steps;
}
