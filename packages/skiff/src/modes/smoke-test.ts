import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { generateHostKey } from '@skiff/credentials/host-key';
import { createKubeClient } from '@skiff/kube/http-kube-client';
import type { KubeClient } from '@skiff/kube/kube-client';
import { loadKubeTarget } from '@skiff/kube/kube-config';
import type { KubeObject, ObjectRef } from '@skiff/kube/kube-object';
import { SftpEndpoints, SftpUsers } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import { workloadName } from '@skiff/policy/workload-names';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import { connectSftp, type SftpClient, SftpClientError } from '@skiff/sftp-protocol/sftp-client';
import { ConfigurationError, type Environment } from '../configuration/environment.ts';
import type { ModeContext } from './mode.ts';

const TIMEOUT_MS = 120_000;
const CONNECT_TIMEOUT_MS = 10_000;
const RETRY_MS = 1_000;
const CLEANUP_TIMEOUT_MS = 10_000;
const FILE_BYTES = 1024 * 1024;
const DEFAULT_PORT = 22;

/**
 * `skiff smoke-test --endpoint namespace/name`, in a pod: makes an SftpUser with a key of its own, waits until it can log in through
 * the endpoint's Service, sends a file, reads it back, and removes both. What `helm test` runs. The file's events go out like any other's.
 */
export async function runSmokeTest({ args, environment, logger }: ModeContext): Promise<number> {
  const endpoint = readEndpoint(args);
  const client = createKubeClient(await loadKubeTarget(readApiServer(environment)));
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  const name = `skiff-smoke-test-${randomBytes(4).toString('hex')}`;
  const { publicKey, privateKey } = generateHostKey();
  try {
    const port = portOf(await client.get(SftpEndpoints, endpoint, { signal: deadline }));
    await client.create(SftpUsers, userManifest({ endpoint, name, publicKey }), { signal: deadline });
    const host = `${workloadName(endpoint.name)}.${endpoint.namespace}.svc`;
    logger.info({ host, port, user: name }, 'user made, waiting for the login');
    await sendFile({ host, port, username: name, privateKey, logger, signal: deadline });
    return 0;
  } finally {
    await removeUser(client, { namespace: endpoint.namespace, name }, logger);
    client.close();
  }
}

function readEndpoint(args: readonly string[]): { readonly namespace: string; readonly name: string } {
  const { values, positionals } = parseArgs({ args: [...args], options: { endpoint: { type: 'string' } }, strict: false });
  const [namespace = '', name = '', ...rest] = typeof values.endpoint === 'string' ? values.endpoint.split('/') : [];
  const isUnderstood = positionals.length === 0 && Object.keys(values).length === 1;
  if (!isUnderstood || namespace === '' || name === '' || rest.length > 0) throw new ConfigurationError('skiff smoke-test --endpoint NAMESPACE/NAME');
  return { namespace, name };
}

function readApiServer(environment: Environment): { readonly kind: 'inCluster'; readonly host: string; readonly port: string } {
  const host = environment.text('KUBERNETES_SERVICE_HOST');
  if (host === undefined) throw new ConfigurationError('skiff smoke-test runs in a pod of the cluster (helm test)');
  return { kind: 'inCluster', host, port: environment.text('KUBERNETES_SERVICE_PORT') ?? '443' };
}

function portOf({ spec }: KubeObject): number {
  const service = isRecord(spec) ? spec.service : undefined;
  const port = isRecord(service) ? service.port : undefined;
  return typeof port === 'number' ? port : DEFAULT_PORT;
}

function userManifest(props: { readonly endpoint: { readonly namespace: string; readonly name: string }; readonly name: string; readonly publicKey: string }) {
  const { endpoint, name, publicKey } = props;
  return {
    apiVersion: SftpUsers.apiVersion,
    kind: SftpUsers.kind,
    metadata: { namespace: endpoint.namespace, name, labels: { 'app.kubernetes.io/managed-by': 'skiff-smoke-test' } },
    spec: {
      endpointRef: { name: endpoint.name },
      username: name,
      authorizedKeys: [{ name: 'smoke-test', publicKey }],
      // The endpoint's ranges are made for partners, not for pods.
      allowedSourceRanges: ['0.0.0.0/0', '::/0'],
    },
  };
}

interface Sending {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly privateKey: Secret<string>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

async function sendFile(props: Sending): Promise<void> {
  const { logger } = props;
  const startedAt = performance.now();
  const sftp = await untilLoggedIn(props);
  try {
    const loggedInMs = Math.round(performance.now() - startedAt);
    logger.info({ hostKey: sftp.hostKeyFingerprint, loggedInMs }, 'logged in');
    const content = randomBytes(FILE_BYTES);
    await sftp.put('/smoke-test.bin', content);
    if (!(await sftp.get('/smoke-test.bin')).equals(content)) throw new SftpClientError('the file came back changed');
    await sftp.remove('/smoke-test.bin');
    logger.info({ bytes: FILE_BYTES, tookMs: Math.round(performance.now() - startedAt) - loggedInMs }, 'file sent, read back and removed');
  } finally {
    sftp.close();
  }
}

/** A new user takes a few seconds to be in force. */
async function untilLoggedIn(props: Sending): Promise<SftpClient> {
  for (;;) {
    try {
      return await connectSftp({ ...props, timeoutMs: CONNECT_TIMEOUT_MS });
    } catch (error) {
      if (props.signal.aborted || !(error instanceof SftpClientError)) throw error;
      props.logger.info({ reason: error.message }, 'not yet');
      await sleep(RETRY_MS, undefined, { signal: props.signal });
    }
  }
}

async function removeUser(client: KubeClient, ref: ObjectRef, logger: Logger): Promise<void> {
  try {
    await client.delete(SftpUsers, ref, { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) });
  } catch (error) {
    logger.warn({ err: error, user: ref.name }, 'the user was not removed: kubectl delete sftpuser');
  }
}
