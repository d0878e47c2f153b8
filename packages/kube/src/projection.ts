import { isRecord } from '@skiff/model/is-record';

/**
 * The part of `actual` that `desired` speaks about: the same members, and the list items that belong together. What the
 * server or other managers have added falls away, what differs or is missing stays visible. Items of lists of objects are matched
 * by `name` or `type` where that is unique, as the merge keys of server-side apply mostly are, else by position; an item of
 * a list of objects that only `actual` has is somebody else's. Lists of plain values are compared whole: they are atomic.
 */
export function project(desired: unknown, actual: unknown): unknown {
  if (Array.isArray(desired)) return Array.isArray(actual) ? projectList(desired, actual) : actual;
  if (!isRecord(desired) || !isRecord(actual)) return isEmpty(desired) && actual === undefined ? desired : actual;
  const entries = Object.entries(desired).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, project(value, actual[name])]));
}

function projectList(desired: readonly unknown[], actual: readonly unknown[]): unknown {
  const key = MERGE_KEYS.find((name) => isUniqueKey(desired, name) && isUniqueKey(actual, name));
  if (key !== undefined)
    return desired.map((item) =>
      project(
        item,
        actual.find((other) => member(other, key) === member(item, key)),
      ),
    );
  if (desired.length !== actual.length || !desired.every(isRecord)) return actual;
  return desired.map((item, index) => project(item, actual[index]));
}

const MERGE_KEYS = ['name', 'type'] as const;

function isUniqueKey(items: readonly unknown[], key: string): boolean {
  const values = items.map((item) => member(item, key));
  return items.length > 0 && values.every((value) => typeof value === 'string') && new Set(values).size === values.length;
}

function member(item: unknown, key: string): unknown {
  return isRecord(item) ? item[key] : undefined;
}

/** The server leaves out empty lists and maps. */
function isEmpty(value: unknown): boolean {
  return (Array.isArray(value) && value.length === 0) || (isRecord(value) && Object.keys(value).length === 0);
}
