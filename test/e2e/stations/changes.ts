import { setTimeout as sleep } from 'node:timers/promises';
import { generateHostKey, type HostKey } from '@skiff/credentials/host-key';
import { connectSftp, type SftpClient, SftpClientError } from '@skiff/sftp-protocol/sftp-client';
import { percentile } from '../../support/percentile.ts';
import type { Kubectl, KubeObject } from '../cluster/kubectl.ts';
import { forwardPort, type PortForward } from '../cluster/port-forward.ts';
import { ENDPOINT, NAMESPACE, type Stage } from '../stage.ts';
import { SERVER_PODS } from './rolling.ts';

const USERS = 20;
const LIMIT_MS = 5_000;
const LOGIN_TIMEOUT_MS = 10_000;
/** A change that is not effective by then counts with this. */
const GIVE_UP_MS = 20_000;

/** What ends a user's right to be there. */
type Change = (user: KubeObject, spec: Readonly<Record<string, unknown>>) => KubeObject | undefined;
const CHANGES: readonly Change[] = [
  (user, spec) => ({ ...user, spec: { ...spec, authorizedKeys: [{ name: 'key', publicKey: generateHostKey().publicKey }] } }),
  (user, spec) => ({ ...user, spec: { ...spec, suspend: true } }),
  (user, spec) => ({ ...user, spec: { ...spec, allowedSourceRanges: ['192.0.2.0/24'] } }),
  (user, spec) => ({ ...user, spec: { ...spec, expiresAt: '2020-01-01T00:00:00Z' } }),
  () => undefined,
];

interface Member {
  readonly name: string;
  readonly key: HostKey;
  readonly change: Change;
}

/** Changes of users, 20 in a round, who have a session on every pod: each session ends, and no pod lets them in again. */
export async function changeUsers({ kube, checks, signal }: Stage, rounds: number): Promise<void> {
  const pods = await servingPods(kube);
  const forwards: PortForward[] = [];
  try {
    for (const pod of pods) forwards.push(await forwardPort({ kube, namespace: NAMESPACE, target: `pod/${pod}`, port: SERVER_PORT }));
    const latencies: number[] = [];
    let letIn = 0;
    for (let round = 0; round < rounds; round++) {
      const members = Array.from({ length: USERS }, (_, index): Member => {
        const change = CHANGES[index % CHANGES.length] ?? (() => undefined);
        return { name: `change-${round}-${index}`, key: generateHostKey(), change };
      });
      const outcome = await runRound({ kube, ports: forwards.map(({ port }) => port), members, signal });
      latencies.push(...outcome.latencies);
      letIn += outcome.letIn;
    }
    checks.add('changes of users with a live session on each pod', latencies.length, '', `== ${rounds * USERS}`);
    checks.add('changes: effective on all pods, median', percentile(latencies, 50) ?? GIVE_UP_MS, 'ms');
    checks.add('changes: effective on all pods, p99', percentile(latencies, 99) ?? GIVE_UP_MS, 'ms', `<= ${LIMIT_MS}`);
    checks.add('changes: logins let in afterwards', letIn, '', '== 0');
  } finally {
    await Promise.all(forwards.map((forward) => forward.stop()));
    await kube.run(['-n', NAMESPACE, 'delete', 'sftpusers', '-l', 'skiff-e2e=changes', '--wait=false']);
  }
}

const SERVER_PORT = 2222;

/** Those that end are left out: no new login gets to them. */
async function servingPods(kube: Kubectl): Promise<readonly string[]> {
  const template = '{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}';
  const names = await kube.run(['-n', NAMESPACE, 'get', 'pods', '-l', SERVER_PODS, '-o', `go-template=${template}`]);
  return names.split(' ').filter((name) => name !== '');
}

interface Round {
  readonly kube: Kubectl;
  readonly ports: readonly number[];
  readonly members: readonly Member[];
  readonly signal: AbortSignal;
}

async function runRound({ kube, ports, members, signal }: Round): Promise<{ readonly latencies: readonly number[]; readonly letIn: number }> {
  await kube.apply(members.map(manifestOf));
  const sessions = await Promise.all(members.map((member) => Promise.all(ports.map((port) => untilLoggedIn(port, member, signal)))));
  const startedAt = performance.now();
  const ended = sessions.map(async (ofUser) => {
    await Promise.race([Promise.all(ofUser.map(({ closed }) => closed)), sleep(GIVE_UP_MS, undefined, { signal, ref: false })]);
    return performance.now() - startedAt;
  });
  const changed = members.flatMap((member) => member.change(manifestOf(member), specOf(member)) ?? []);
  const deleted = members.filter((member) => member.change(manifestOf(member), specOf(member)) === undefined).map(({ name }) => name);
  await Promise.all([kube.apply(changed), kube.run(['-n', NAMESPACE, 'delete', 'sftpuser', ...deleted, '--wait=false'])]);
  const latencies = await Promise.all(ended);
  const again = await Promise.all(members.flatMap((member) => ports.map((port) => mayLogIn(port, member, signal))));
  for (const ofUser of sessions) for (const session of ofUser) session.close();
  return { latencies, letIn: again.filter(Boolean).length };
}

function specOf({ name, key }: Member): Readonly<Record<string, unknown>> {
  return { endpointRef: { name: ENDPOINT }, username: name, authorizedKeys: [{ name: 'key', publicKey: key.publicKey }] };
}

function manifestOf(member: Member): KubeObject {
  const metadata = { namespace: NAMESPACE, name: member.name, labels: { 'skiff-e2e': 'changes' } };
  return { apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpUser', metadata, spec: specOf(member) };
}

function connect(port: number, { name, key }: Member, signal: AbortSignal): Promise<SftpClient> {
  return connectSftp({ host: '127.0.0.1', port, username: name, privateKey: key.privateKey, timeoutMs: LOGIN_TIMEOUT_MS, signal });
}

async function untilLoggedIn(port: number, member: Member, signal: AbortSignal): Promise<SftpClient> {
  const startedAt = performance.now();
  for (;;) {
    try {
      return await connect(port, member, signal);
    } catch (error) {
      if (!(error instanceof SftpClientError) || performance.now() - startedAt > GIVE_UP_MS) throw error;
      await sleep(500, undefined, { signal });
    }
  }
}

async function mayLogIn(port: number, member: Member, signal: AbortSignal): Promise<boolean> {
  try {
    (await connect(port, member, signal)).close();
    return true;
  } catch (error) {
    if (!(error instanceof SftpClientError)) throw error;
    return false;
  }
}
