/**
 * JSON with the keys of every object in order, so that equal values are equal texts. MySQL stores JSON with its keys in an
 * order of its own. What JSON has no word for (undefined) is left out.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
      : inner,
  );
}
