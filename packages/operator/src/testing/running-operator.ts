import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { passwordHashProblem } from '@skiff/credentials/password-hash';
import { readPublicKey } from '@skiff/credentials/ssh-public-key';
import type { DeliveryHistory } from '@skiff/database/delivery-history';
import type { OperationLog } from '@skiff/database/operation-log';
import type { ResourceKind } from '@skiff/model/object-meta';
import { createFolderSource, type FolderSource } from '../folder-source/folder-source.ts';
import type { HostKeyStore } from '../host-keys/host-key-store.ts';
import { createOperator, type Operator } from '../operator.ts';
import type { RowRepository } from '../reconcile/reconcile-context.ts';
import { recordingLogger } from './recording-logger.ts';
import { noHostKeys, RecordingSink } from './recording-sink.ts';

/** An operator over a folder of manifests, with short waits. */
export interface RunningOperator extends AsyncDisposable {
  readonly operator: Operator;
  readonly source: FolderSource;
  readonly sink: RecordingSink;
  readonly log: ReturnType<typeof recordingLogger>;
  write(file: string, text: string): Promise<void>;
  remove(file: string): Promise<void>;
  /** `Type=Status Reason` of each condition of an object in the namespace `default`. */
  conditions(kind: ResourceKind, name: string): readonly string[];
}

export interface RunningOperatorOptions {
  /** Holds `manifests` and `state`; survives the operator. */
  readonly folder: string;
  readonly repository: RowRepository;
  readonly resyncMs?: number;
  readonly deliveries?: Pick<DeliveryHistory, 'counts'>;
  readonly outbox?: Pick<OperationLog, 'outboxStatus'>;
  /** Default: none are kept. */
  readonly hostKeys?: HostKeyStore;
}

export async function startTestOperator(options: RunningOperatorOptions): Promise<RunningOperator> {
  const { folder, repository, resyncMs, deliveries, outbox, hostKeys = noHostKeys } = options;
  const manifests = join(folder, 'manifests');
  await mkdir(manifests, { recursive: true });
  const log = recordingLogger();
  const sink = new RecordingSink();
  const timing = { pollMs: 60, settleMs: 30, maxUnsettledMs: 300 };
  const source = createFolderSource({ directory: manifests, stateDirectory: join(folder, 'state'), logger: log, timing });
  const credentials = { readPublicKey, passwordHashProblem };
  const operator = createOperator({
    source,
    repository,
    sink,
    hostKeys,
    credentials,
    logger: log,
    ...(resyncMs === undefined ? {} : { resyncMs }),
    ...(deliveries === undefined ? {} : { deliveries }),
    ...(outbox === undefined ? {} : { outbox }),
  });
  await operator.start(AbortSignal.timeout(30_000));
  return {
    operator,
    source,
    sink,
    log,
    async write(file, text) {
      await mkdir(dirname(join(manifests, file)), { recursive: true });
      await writeFile(join(manifests, file), text);
    },
    remove: (file) => rm(join(manifests, file)),
    conditions: (kind, name) =>
      (source.status({ kind, namespace: 'default', name })?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`),
    [Symbol.asyncDispose]: () => operator.stop(),
  };
}

export const ENDPOINT = `---
apiVersion: skiff.dev/v1alpha1
kind: SftpEndpoint
metadata: {name: main}
spec: {storage: {local: {path: /srv/files}}, events: {serviceBus: {namespace: contoso.servicebus.windows.net, queue: files}}}
`;

/** `spec`: further lines, indented by two. */
export function userManifest(name: string, spec = '', username = name): string {
  return `---\napiVersion: skiff.dev/v1alpha1\nkind: SftpUser\nmetadata: {name: ${name}}\nspec:\n  endpointRef: {name: main}\n  username: ${username}\n${spec}`;
}

/** A key that parses; nobody has its private half. */
const KEY_LINE = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEthcl1iOBiiozvLb0pf1mbZ/5dFy3Y0mH7dyYRxR7yG';
export const WITH_KEY = `  authorizedKeys: [{name: laptop, publicKey: ${KEY_LINE}}]\n`;
