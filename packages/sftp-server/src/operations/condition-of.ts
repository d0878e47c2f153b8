import type { WriteCondition } from '@skiff/storage/file-store';

/** The write condition that a recorded ETag stands for; `null`: nothing may be there. */
export function conditionOf(priorEtag: string | null): WriteCondition {
  return priorEtag === null ? { kind: 'absent' } : { kind: 'etag', etag: priorEtag };
}
