import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileEvent } from '@skiff/model/file-event';
import { parseFileEvent } from '@skiff/model/parse-file-event';
import type { Login } from '../../support/openssh-client.ts';
import { forwardPort } from '../cluster/port-forward.ts';
import { ENDPOINT, NAMESPACE, quickstart, type Stage } from '../stage.ts';

const FILE_BYTES = 3 * 1024 * 1024 + 123;
const READY_SECONDS = 180;

/** How the two users of the quickstart log in, from outside the cluster. */
export interface Partners {
  readonly alice: Login;
  readonly bob: Login;
  /** This machine's, as the cluster sees it. */
  readonly clientAddress: string;
}

/** `kubectl apply` of the quickstart, until the conditions say Ready and the load balancer has an address. */
export async function applyQuickstart(stage: Stage, clientAddress: string): Promise<void> {
  const { kube, checks } = stage;
  const startedAt = performance.now();
  await kube.apply(await quickstart(stage, clientAddress));
  const objects = [`sftpendpoint/${ENDPOINT}`, 'sftpuser/alice', 'sftpuser/bob', 'eventroute/file-inbox'];
  const wait = ['-n', NAMESPACE, 'wait', '--for=condition=Ready', ...objects, `--timeout=${READY_SECONDS}s`];
  try {
    await kube.run(wait, { timeoutMs: (READY_SECONDS + 20) * 1_000 });
  } catch (error) {
    const seen = await kube.run(['-n', NAMESPACE, 'get', 'sftpendpoints,sftpusers,eventroutes,pods', '-o', 'wide']);
    throw new Error(`the quickstart did not become Ready\n${seen}`, { cause: error });
  }
  checks.add(`quickstart of ${stage.product.name}: kubectl apply until all conditions are Ready`, (performance.now() - startedAt) / 1_000, 's', '<= 120');
}

export async function findPartners({ kube, keyFile, password }: Stage): Promise<Partners> {
  const service = ['-n', NAMESPACE, 'get', 'service', `skiff-${ENDPOINT}`];
  const host = await kube.eventually('load balancer address', async () => {
    const address = await kube.value(service, '{.status.loadBalancer.ingress[0].ip}');
    return address === '' ? undefined : address;
  });
  const port = Number(await kube.value(service, '{.spec.ports[0].port}'));
  return {
    alice: { host, port, username: 'alice', credential: { keyFile } },
    bob: { host, port, username: 'bob', credential: { password } },
    clientAddress: await addressTowards(host),
  };
}

/** The address that this machine's packets to `host` carry when they arrive. */
export async function addressTowards(host: string): Promise<string> {
  const { SKIFF_E2E_CLIENT_ADDRESS: given = '' } = process.env;
  if (given !== '') return given;
  const socket = createSocket('udp4');
  try {
    socket.connect(9, host);
    await once(socket, 'connect');
    return socket.address().address;
  } finally {
    socket.close();
  }
}

/** Login, file, blob, event, delivery, by key and by password; and the true address of the client in the event. */
export async function doMainJob(stage: Stage, partners: Partners): Promise<void> {
  for (const [login, way] of [[partners.alice, 'by key'] as const, [partners.bob, 'by password'] as const]) {
    await sendAndFollow(stage, login, way, partners.clientAddress);
  }
}

async function sendAndFollow({ kube, checks, client, dir }: Stage, login: Login, way: string, clientAddress: string): Promise<void> {
  const content = randomBytes(FILE_BYTES);
  const local = join(dir, `${login.username}.bin`);
  await writeFile(local, content);
  const path = `/report-${randomBytes(4).toString('hex')}.bin`;
  const sent = await client.sftp(login, [`put ${local} ${path}`, `get ${path} ${local}.back`]);
  if (sent.exitCode !== 0) throw new Error(`${login.username} could not send a file ${way}: ${sent.stderr}`);
  const same = sha256(await readFile(`${local}.back`)) === sha256(content);
  checks.add(`${login.username}: upload and download ${way} through the LoadBalancer, SHA-256 equal`, same ? 1 : 0, 'of 1', '== 1');
  const { event, atMs } = await kube.eventually(`delivery of ${path}`, async () => (await deliveries(kube)).find(({ event: { data } }) => data.path === path));
  checks.add(`${login.username}: close recorded until the application pod was called`, atMs - Date.parse(event.time), 'ms', '<= 5000');
  checks.add(`${login.username}: size of the blob in the event`, event.data.sizeBytes ?? -1, 'bytes', `== ${FILE_BYTES}`);
  checks.add(`${login.username}: the client's address in the event is the true one`, event.data.clientAddress === clientAddress ? 1 : 0, 'of 1', '== 1');
  const records = await deliveryRecords(kube, event.id);
  checks.add(`${login.username}: skiff deliveries list in the router's pod shows the delivery`, records.filter(isSuccess).length, 'of 1', '== 1');
}

/** As docs/events.md has it. */
async function deliveryRecords(kube: Stage['kube'], eventId: string): Promise<readonly unknown[]> {
  const listed = await kube.run(
    ['-n', NAMESPACE, 'exec', `deploy/skiff-${ENDPOINT}-router`, '--'].concat(['skiff', 'deliveries', 'list', '--event', eventId, '--output', 'json']),
  );
  return listed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

function isSuccess(record: unknown): boolean {
  return typeof record === 'object' && record !== null && 'state' in record && record.state === 'succeeded';
}

export interface Delivery {
  readonly event: FileEvent;
  /** When the application got it, ms since 1970. */
  readonly atMs: number;
}

/** What the application pod has been sent. */
export async function deliveries(kube: Stage['kube']): Promise<readonly Delivery[]> {
  const inbox = await forwardPort({ kube, namespace: NAMESPACE, target: 'service/file-inbox', port: 8080 });
  try {
    const received: unknown = await (await fetch(`http://127.0.0.1:${inbox.port}/received`, { signal: AbortSignal.timeout(10_000) })).json();
    if (!Array.isArray(received)) throw new Error('the application does not show what it received');
    return received.flatMap((one: { readonly atMs: number; readonly body: string }) => {
      const event = parseFileEvent(JSON.parse(one.body));
      return event === undefined ? [] : [{ event, atMs: one.atMs }];
    });
  } finally {
    await inbox.stop();
  }
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
