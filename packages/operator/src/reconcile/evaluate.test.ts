import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RowStep } from '@skiff/database/resource-rows';
import fc from 'fast-check';
import { evaluate } from './evaluate.ts';

interface Row {
  readonly key: string;
  readonly value: unknown;
}

const keyOf = (row: Row): string => row.key;
// JSON has no negative zero: a database gives back what it was told.
const row = fc
  .record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'A', '', '__proto__'), value: fc.jsonValue() }, { noNullPrototype: true })
  .map(({ key, value }): Row => ({ key, value: JSON.parse(JSON.stringify(value)) }));
const rows = fc.uniqueArray(row, { selector: keyOf });

/** As a database would: it takes steps in order, and keeps JSON in its own order of keys. */
function applied(actual: readonly Row[], steps: readonly RowStep<Row, string>[]): Map<string, Row> {
  const table = new Map(actual.map((each) => [each.key, each]));
  for (const step of steps) {
    if (step.kind === 'delete') assert.ok(table.delete(step.key));
    else table.set(step.row.key, step.row);
  }
  return table;
}

function withKeysReversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withKeysReversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, inner]) => [key, withKeysReversed(inner)]),
  );
}

test('applying the steps to what is there gives what should be', () => {
  fc.assert(
    fc.property(rows, rows, (desired, actual) => {
      const table = applied(actual, evaluate(desired, actual, keyOf));
      assert.deepEqual(
        [...table.values()].sort((left, right) => (left.key < right.key ? -1 : 1)),
        desired.toSorted((left, right) => (left.key < right.key ? -1 : 1)),
      );
    }),
  );
});

test('there are no steps where rows agree, in whatever order they and their fields come', () => {
  fc.assert(
    fc.property(rows, (desired) => {
      const actual = desired.map((each) => ({ ...each, value: withKeysReversed(each.value) })).toReversed();
      assert.deepEqual(evaluate(desired, actual, keyOf), []);
    }),
  );
});

test('one change among many is one step', () => {
  const desired = Array.from({ length: 4000 }, (_, index) => ({ key: `user${index}`, value: { suspended: index === 17 } }));
  const actual = desired.map((each) => ({ ...each, value: { suspended: false } }));
  assert.deepEqual(evaluate(desired, actual, keyOf), [{ kind: 'put', row: desired[17] }]);
});
