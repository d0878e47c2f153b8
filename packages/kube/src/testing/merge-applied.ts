import { isRecord } from '@skiff/model/is-record';

/** What server-side apply by the only manager comes to, nearly: members are merged, everything else is replaced. */
export function mergeApplied(before: unknown, applied: unknown): unknown {
  if (!isRecord(before) || !isRecord(applied)) return applied;
  const merged: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(applied)) merged[name] = mergeApplied(before[name], value);
  return merged;
}
