import { readFile } from 'node:fs/promises';
import { isRecord } from '@skiff/model/is-record';
import type { LeaseWrite, Write } from './writers.ts';

/** Every write of the operator's ServiceAccount, whichever process made it; of the lease with its content. */
export const AUDIT_POLICY = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Request
    namespaces: [skiff-system]
    verbs: [create, update, patch]
    resources: [{ group: coordination.k8s.io, resources: [leases] }]
  - level: Metadata
    users: ['system:serviceaccount:skiff-system:skiff']
    verbs: [create, update, patch, delete]
  - level: None
`;

export interface AuditedWrites {
  readonly leases: readonly LeaseWrite[];
  readonly writes: readonly Write[];
}

/** `processOf`: by the id of a token (`jti`). */
export async function readAuditLog(path: string, processOf: ReadonlyMap<string, string>): Promise<AuditedWrites> {
  const leases: LeaseWrite[] = [];
  const writes: Write[] = [];
  for (const line of (await readFile(path, 'utf8')).split('\n')) {
    // The last line may be half there.
    if (!line.endsWith('}')) continue;
    const entry: unknown = JSON.parse(line);
    if (!isRecord(entry) || !isRecord(entry.objectRef) || entry.stage !== 'ResponseComplete') continue;
    const atMs = Date.parse(String(entry.requestReceivedTimestamp));
    if (entry.objectRef.resource === 'leases') {
      const code = isRecord(entry.responseStatus) ? Number(entry.responseStatus.code) : 0;
      if (code < 300) leases.push({ ...leaseOf(entry.requestObject), atMs });
      continue;
    }
    const process = processOf.get(tokenIdOf(entry.user)) ?? 'somebody';
    const { resource, namespace, name } = entry.objectRef;
    writes.push({ process, what: `${entry.verb} ${resource} ${namespace}/${name ?? '?'}`, atMs });
  }
  return { leases, writes };
}

/** The `jti` of a token. */
export function idOfToken(token: string): string {
  const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  return isRecord(claims) ? String(claims.jti) : '';
}

function tokenIdOf(user: unknown): string {
  const extra = isRecord(user) && isRecord(user.extra) ? user.extra : {};
  const ids: unknown = extra['authentication.kubernetes.io/credential-id'];
  return Array.isArray(ids) ? String(ids[0]).replace(/^JTI=/, '') : '';
}

/** The holder is `<pod>_<random>`. */
function leaseOf(object: unknown): { readonly holder: string; readonly epoch: number } {
  const spec = isRecord(object) && isRecord(object.spec) ? object.spec : {};
  return { holder: String(spec.holderIdentity ?? '').replace(/_[0-9a-f]+$/, ''), epoch: Number(spec.leaseTransitions ?? 0) };
}
