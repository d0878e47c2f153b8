import { randomBytes } from 'node:crypto';
import type { Login } from '../../support/openssh-client.ts';
import { ConnectionLostError, RESUME_FLAGS, SftpStatusError, SftpTestClient } from '../../support/sftp-test-client.ts';
import type { KubeObject } from '../cluster/kubectl.ts';
import { forwardPort, type PortForward } from '../cluster/port-forward.ts';
import { ENDPOINT, NAMESPACE, type Stage } from '../stage.ts';
import type { Partners } from './main-job.ts';
import { DEPLOYMENT, SERVER_PODS } from './rolling.ts';
import { countUntold } from './traffic.ts';
import { ROUTER } from './upgrade.ts';

const MIB = 1024 * 1024;
const SERVER_PORT = 2222;
const USERS = ['left', 'right'] as const;
/** Two users of one directory, so that they get in each other's way. */
const SHARED_HOME = 'side-by-side';

/** A way to a server of one version, with the two users. */
interface Side {
  readonly version: 'N' | 'N-1';
  readonly logins: Readonly<Record<(typeof USERS)[number], Login>>;
}

/** The Deployments as the operator has made them: taken before an upgrade they are those of the version before. */
export async function captureWorkloads({ kube }: Stage): Promise<readonly KubeObject[]> {
  return Promise.all([DEPLOYMENT, ROUTER].map(async (name) => asPrevious(await kube.json(['-n', NAMESPACE, 'get', name]))));
}

/** The same pods under labels and a name that neither the operator nor the Service takes for its own. */
function asPrevious(deployment: unknown): KubeObject {
  const { template } = Object(Object(deployment).spec);
  const name = `previous-${template.spec.containers[0].name}`;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: NAMESPACE, name },
    spec: { replicas: 1, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: template.spec } },
  };
}

/** Pods of the version before beside those of this one, on the schema that this one has migrated to. */
export async function runSideBySide(stage: Stage, { alice }: Partners, previous: readonly KubeObject[]): Promise<void> {
  const { kube, checks, publicKey } = stage;
  await kube.apply([...previous, ...USERS.map((name) => userOf(name, publicKey))]);
  await kube.rolledOut(
    NAMESPACE,
    previous.map(({ metadata }) => `deployment/${metadata.name}`),
  );
  checks.add('side by side: pods of the version before that became ready on the new schema', previous.length, 'of 2', '== 2');
  await kube.run(['-n', NAMESPACE, 'wait', '--for=condition=Ready', ...USERS.map((name) => `sftpuser/${name}`), '--timeout=60s']);
  const forwards: PortForward[] = [];
  const sideOf = async (version: Side['version'], target: string): Promise<Side> => {
    const forward = await forwardPort({ kube, namespace: NAMESPACE, target, port: SERVER_PORT });
    forwards.push(forward);
    const at = { ...alice, host: '127.0.0.1', port: forward.port };
    return { version, logins: { left: { ...at, username: 'left' }, right: { ...at, username: 'right' } } };
  };
  try {
    const present = (
      await kube.value(['-n', NAMESPACE, 'get', 'pods', '-l', SERVER_PODS, '--field-selector=status.phase=Running'], '{.items[0].metadata.name}')
    ).trim();
    const sides = [await sideOf('N', `pod/${present}`), await sideOf('N-1', 'deployment/previous-sftp-server')] as const;
    const names: string[] = [];
    for (const [one, other] of [sides, [sides[1], sides[0]] as const]) {
      names.push(...(await upload(stage, one, other)), ...(await keepOut(stage, one, other)), ...(await takeOver(stage, one, other)));
    }
    const { untold, repeated } = await countUntold(stage, names);
    checks.add('side by side: acknowledged files without their event', untold, `of ${names.length}`, '== 0');
    checks.add('side by side: second events of one file', repeated, '', '== 0');
  } finally {
    await Promise.all(forwards.map((forward) => forward.stop()));
  }
}

function userOf(name: string, publicKey: string): KubeObject {
  const spec = { endpointRef: { name: ENDPOINT }, username: name, home: SHARED_HOME, authorizedKeys: [{ name: 'key', publicKey }] };
  return { apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpUser', metadata: { namespace: NAMESPACE, name }, spec };
}

const nameOf = (what: string, { version }: Side): string => `${what}-${version}-${randomBytes(4).toString('hex')}`;

/** Small and large files through one version are read back whole through the other. */
async function upload({ checks }: Stage, one: Side, other: Side): Promise<readonly string[]> {
  const writer = await SftpTestClient.connect(one.logins.left);
  const reader = await SftpTestClient.connect(other.logins.right);
  const names: string[] = [];
  let same = 0;
  for (const size of [0, 1, 20_000, MIB, 3 * MIB + 5, ...Array.from({ length: 15 }, (_, index) => index * 1_000)]) {
    const name = nameOf('upload', one);
    const content = randomBytes(size);
    await writer.put(`/${name}`, content);
    if (content.equals(await reader.get(`/${name}`))) same += 1;
    names.push(name);
  }
  writer.end();
  reader.end();
  checks.add(`side by side: files sent through ${one.version}, read through ${other.version}`, same, `of ${names.length}`, `== ${names.length}`);
  return names;
}

/** Who has begun to write a file keeps all others out, until it is closed. */
async function keepOut({ checks }: Stage, one: Side, other: Side): Promise<readonly string[]> {
  const name = nameOf('locked', one);
  const content = randomBytes(5 * MIB);
  const holder = await SftpTestClient.connect(one.logins.left);
  const rival = await SftpTestClient.connect(other.logins.right);
  const handle = await holder.open(`/${name}`, 'w');
  await holder.write(handle, content.subarray(0, 4 * MIB));
  const refused = await rival.put(`/${name}`, randomBytes(2 * MIB)).then(
    () => false,
    (error) => error instanceof SftpStatusError,
  );
  await holder.write(handle, content.subarray(4 * MIB), 4 * MIB);
  await holder.close(handle);
  const kept = content.equals(await rival.get(`/${name}`));
  holder.end();
  rival.end();
  checks.add(`side by side: ${other.version} respects a lock of ${one.version}, whose file is whole`, refused && kept ? 1 : 0, 'of 1', '== 1');
  return [name];
}

/** A dropped connection to one version, and the rest of the file through the other. */
async function takeOver({ kube, checks }: Stage, one: Side, other: Side): Promise<readonly string[]> {
  const name = nameOf('resumed', one);
  const content = randomBytes(9 * MIB + 7);
  const dropped = await SftpTestClient.connect(one.logins.left);
  const first = await dropped.open(`/${name}`, 'w');
  await dropped.write(first, content.subarray(0, 6 * MIB));
  dropped.destroy();
  const survivor = await SftpTestClient.connect(other.logins.left);
  const staged = await kube.eventually('length to resume from', async () => (await survivor.sizeOf(`/${name}`)) || undefined);
  const handle = await kube.eventually('handle of the interrupted file', () => survivor.open(`/${name}`, RESUME_FLAGS).catch(rethrowLost));
  await survivor.write(handle, content.subarray(staged), staged);
  await survivor.close(handle);
  const whole = content.equals(await survivor.get(`/${name}`));
  survivor.end();
  checks.add(`side by side: bytes that ${other.version} need not ask for again of an upload begun at ${one.version}`, staged, 'bytes', `>= ${MIB}`);
  checks.add(`side by side: ${other.version} ends an upload begun at ${one.version}, byte for byte`, whole ? 1 : 0, 'of 1', '== 1');
  return [name];
}

/** The old handle may hold on for a moment; a lost connection is another matter. */
function rethrowLost(error: unknown): undefined {
  if (error instanceof ConnectionLostError) throw error;
  return undefined;
}
