import { setTimeout as sleep } from 'node:timers/promises';
import { hashPassword } from '@skiff/credentials/password-hash';
import { Secrets, SftpUsers } from '@skiff/kube/resource-type';
import { Secret } from '@skiff/runtime/secret';
import type { Login } from '../../support/openssh-client.ts';
import { percentile } from '../../support/percentile.ts';
import { letsIn, SftpTestClient } from '../../support/sftp-test-client.ts';
import { secretManifest, userManifest } from '../manifests.ts';
import type { OperatorRig } from '../operator-rig.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';
import { SftpServers } from './sftp-servers.ts';

const NAMESPACE = 'changes';
const SERVERS = 3;
const SIZES = { short: { rounds: 1, users: 10 }, full: { rounds: 5, users: 20 } } as const;
/** Issue 4: effective on all servers, live sessions included. */
const LIMIT_S = 5;
const GIVE_UP_MS = 30_000;
const LONGEST_PAUSE_MS = 200;

/** Users with a session on each of three servers lose their right to it, by a change of their resource or of their Secret. */
export const accessChanges: Scenario = { name: 'access changes', namespaces: [NAMESPACE], run };

const KINDS = ['key', 'password hash', 'allow list', 'suspend', 'delete'] as const;
type Kind = (typeof KINDS)[number];

interface Member {
  readonly kind: Kind;
  readonly name: string;
  readonly credential: Login['credential'];
  /** What lets them in after a change of key or password. */
  readonly next: Login['credential'] | undefined;
  readonly create: () => Promise<unknown>;
  readonly change: () => Promise<unknown>;
}

async function run(context: ScenarioContext): Promise<void> {
  const { rig, checks, random, size, progress } = context;
  const { rounds, users } = SIZES[size];
  await rig.letReadSecrets([NAMESPACE]);
  const operator = await rig.startOperator('changes-operator');
  await operator.waitFor('leadership', ({ msg }) => msg === 'leading', 60_000);
  await using servers = await SftpServers.start(rig, NAMESPACE, SERVERS);
  const latencies = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]));
  let letIn = 0;
  let lockedOut = 0;
  for (let round = 0; round < rounds; round++) {
    const members = await Promise.all(
      Array.from({ length: users }, (_, index) => newMember({ rig, servers }, `user-${round}-${index}`, KINDS[index % KINDS.length] ?? 'key')),
    );
    await Promise.all(members.map(({ create }) => create()));
    const sessions = [];
    for (const member of members)
      sessions.push({
        member,
        clients: await Promise.all(servers.logins(member.name, member.credential).map((login) => SftpTestClient.connectEventually(login, GIVE_UP_MS))),
      });
    progress(`round ${round + 1} of ${rounds}: ${users} users with ${SERVERS} sessions each`);
    const measured = [];
    for (const { member, clients } of sessions) {
      await sleep(random.integer(0, LONGEST_PAUSE_MS));
      const began = performance.now();
      const ended = Promise.race([Promise.all(clients.map((client) => client.ended)), sleep(GIVE_UP_MS, undefined, { ref: false })]);
      measured.push(ended.then(() => latencies.get(member.kind)?.push(performance.now() - began)));
      await member.change();
    }
    await Promise.all(measured);
    progress(`round ${round + 1} of ${rounds}: changes are effective`);
    for (const { member, clients } of sessions) {
      const before = await Promise.all(servers.logins(member.name, member.credential).map(letsIn));
      const now = member.next === undefined ? [] : await Promise.all(servers.logins(member.name, member.next).map(letsIn));
      letIn += before.filter(Boolean).length;
      lockedOut += now.filter((isIn) => !isIn).length;
      for (const client of clients) client.destroy();
    }
  }
  const all = [...latencies.values()].flat();
  checks.add('access changes: with a live session on each of 3 servers', all.length, 'changes', `== ${rounds * users}`);
  for (const [kind, times] of latencies) checks.add(`access changes: ${kind}, slowest`, Math.max(...times) / 1_000, 's');
  checks.add('access changes: effective on all servers, median', (percentile(all, 50) ?? GIVE_UP_MS) / 1_000, 's');
  checks.add('access changes: effective on all servers, p99', (percentile(all, 99) ?? GIVE_UP_MS) / 1_000, 's', `<= ${LIMIT_S}`);
  checks.add('access changes: password hash, p99', (percentile(latencies.get('password hash') ?? [], 99) ?? GIVE_UP_MS) / 1_000, 's', `<= ${LIMIT_S}`);
  checks.add('access changes: logins by what was in force before', letIn, '', '== 0');
  checks.add('access changes: refused logins by a new key or password', lockedOut, '', '== 0');
  await operator.stop();
}

async function newMember({ rig, servers }: { readonly rig: OperatorRig; readonly servers: SftpServers }, name: string, kind: Kind): Promise<Member> {
  const { client } = rig;
  const ref = { namespace: NAMESPACE, name };
  const call = () => ({ signal: AbortSignal.timeout(GIVE_UP_MS) });
  const patch = (spec: object) => client.mergePatch(SftpUsers, ref, { spec }, call());
  if (kind === 'password hash') {
    const [before, after] = [`${name} before`, `${name} after`];
    const [hash, nextHash] = [await hashPassword(new Secret(before)), await hashPassword(new Secret(after))];
    const password = { hashSecretRef: { name, key: 'hash' } };
    return {
      kind,
      name,
      credential: { password: before },
      next: { password: after },
      create: async () => {
        await client.create(Secrets, secretManifest(NAMESPACE, name, { hash }), call());
        await client.create(SftpUsers, userManifest(NAMESPACE, name, { password }), call());
      },
      change: () => client.mergePatch(Secrets, ref, { stringData: { hash: nextHash } }, call()),
    };
  }
  const { keyFile, publicKey } = await servers.newKey();
  const other = await servers.newKey();
  const changes: Readonly<Record<Exclude<Kind, 'password hash'>, () => Promise<unknown>>> = {
    key: () => patch({ authorizedKeys: [{ name: 'other', publicKey: other.publicKey }] }),
    'allow list': () => patch({ allowedSourceRanges: ['192.0.2.0/24'] }),
    suspend: () => patch({ suspend: true }),
    delete: () => client.delete(SftpUsers, ref, call()),
  };
  return {
    kind,
    name,
    credential: { keyFile },
    next: kind === 'key' ? { keyFile: other.keyFile } : undefined,
    create: () => client.create(SftpUsers, userManifest(NAMESPACE, name, { authorizedKeys: [{ name: 'laptop', publicKey }] }), call()),
    change: changes[kind],
  };
}
