/** The value that so many percent of the others do not exceed (nearest rank). Undefined for none. */
export function percentile(values: readonly number[], percent: number): number | undefined {
  return values.toSorted((left, right) => left - right)[Math.ceil((values.length * percent) / 100) - 1];
}
