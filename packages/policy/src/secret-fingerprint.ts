import { scryptSync } from 'node:crypto';

/** About 3 ms: rows are read by more people than Secrets, and a short password must not be found by trying. */
const COST = { N: 1024, r: 8, p: 1 };

/** Tells whether two parties have the same value of a secret without either showing it. `scope` keeps equal values apart: `namespace/name/key`. */
export function secretFingerprint(scope: string, value: string): string {
  return scryptSync(value, `skiff route secret ${scope}`, 16, COST).toString('base64url');
}
