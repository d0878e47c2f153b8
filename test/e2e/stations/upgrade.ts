import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Login } from '../../support/openssh-client.ts';
import type { KubeObject } from '../cluster/kubectl.ts';
import { ENDPOINT, NAMESPACE, type Product, type Stage, upgradeChart } from '../stage.ts';
import type { Partners } from './main-job.ts';
import { DEPLOYMENT } from './rolling.ts';
import { countUntold, startTraffic } from './traffic.ts';

const READY_TIMEOUT_MS = 120_000;
/** kubectl paces itself to some 50 a second. */
const CREATE_TIMEOUT_MS = 60_000;
const CREATE_ONE_TIMEOUT_MS = 100;
const ROLLOUT_SECONDS = 240;
/** Pods wait 10 s before they drain, and let sessions go on for the 60 s of the endpoint's grace: what is cut in between is cut too early. */
const LINGER_MS = 30_000;
/** Of the users, so many log in afterwards. */
const SAMPLE = 25;
const CRDS = ['sftpendpoints', 'sftpusers', 'eventroutes'].map((name) => `${name}.skiff.dev`);
export const ROUTER = `deployment/skiff-${ENDPOINT}-router`;

interface User {
  readonly uid: string;
  readonly spec: unknown;
  readonly ready: boolean;
}

export interface UpgradeProps {
  readonly next: Product;
  /** Beside those of the quickstart. */
  readonly users: number;
}

/** `helm upgrade` to CRDs that differ, with many users, live sessions and transfers. */
export async function upgradeUnderLoad(stage: Stage, partners: Partners, { next, users }: UpgradeProps): Promise<void> {
  const { kube, checks, client } = stage;
  const logins = await makeUsers(stage, partners, users);
  const before = await kube.eventually('readiness of all users', () => whenReady(stage, users + 2), READY_TIMEOUT_MS);
  checks.add('upgrade: users that are Ready before', countReady(before), '', `== ${users + 2}`);
  const crds = await Promise.all(CRDS.map((name) => crdSpec(stage, name)));
  const traffic = await startTraffic(stage, logins);
  const startedAt = performance.now();
  await upgradeChart(stage, next);
  await kube.eventually('the new version of servers and routers', async () => {
    const images = await Promise.all(
      [DEPLOYMENT, ROUTER].map((name) => kube.value(['-n', NAMESPACE, 'get', name], '{.spec.template.spec.containers[0].image}')),
    );
    return images.every((image) => image === next.image) ? images : undefined;
  });
  await kube.rolledOut(NAMESPACE, [DEPLOYMENT, ROUTER], ROLLOUT_SECONDS);
  checks.add('upgrade: helm upgrade until servers and routers are of the new version', (performance.now() - startedAt) / 1_000, 's', '<= 180');
  await sleep(LINGER_MS, undefined, { signal: stage.signal });
  const outcome = await traffic.stop();
  const crdsAfter = await Promise.all(CRDS.map((name) => crdSpec(stage, name)));
  checks.add('upgrade: CRDs that the upgrade has changed', crds.filter((crd, index) => crd !== crdsAfter[index]).length, 'of 3', '>= 1');
  checks.add('upgrade: live sessions cut', outcome.sessionsCut, `of ${outcome.sessions}`, '== 0');
  checks.add('upgrade: slow transfers cut', outcome.transfersCut, `of ${outcome.transfers}`, '== 0');
  checks.add('upgrade: new logins refused', outcome.loginsRefused, `of ${outcome.logins}`, '== 0');
  const after = await usersOf(stage);
  const intact = [...before].filter(([name, { uid, spec }]) => after.get(name)?.uid === uid && isDeepStrictEqual(after.get(name)?.spec, spec)).length;
  checks.add('upgrade: users whose identity and spec are what they were', intact, '', `== ${users + 2}`);
  checks.add('upgrade: users that are Ready afterwards', countReady(after), '', `== ${users + 2}`);
  const sampled = [partners.alice, partners.bob, ...logins.filter((_, index) => index % Math.ceil(users / SAMPLE) === 0)];
  let refused = 0;
  for (const login of sampled) if ((await client.sftp(login, ['pwd'])).exitCode !== 0) refused += 1;
  checks.add('upgrade: users who cannot log in afterwards', refused, `of ${sampled.length}`, '== 0');
  const { untold, repeated } = await countUntold(stage, outcome.acknowledged);
  checks.add('upgrade: acknowledged files without their event', untold, `of ${outcome.acknowledged.length}`, '== 0');
  checks.add('upgrade: second events of one file', repeated, '', '== 0');
}

/** Users who share alice's key. */
async function makeUsers({ kube, publicKey }: Stage, { alice }: Partners, count: number): Promise<readonly Login[]> {
  const names = Array.from({ length: count }, (_, index) => `tenant-${String(index).padStart(4, '0')}`);
  const manifests = names.map(
    (name): KubeObject => ({
      apiVersion: 'skiff.dev/v1alpha1',
      kind: 'SftpUser',
      metadata: { namespace: NAMESPACE, name },
      spec: { endpointRef: { name: ENDPOINT }, username: name, authorizedKeys: [{ name: 'key', publicKey }] },
    }),
  );
  await kube.create(manifests, CREATE_TIMEOUT_MS + count * CREATE_ONE_TIMEOUT_MS);
  return names.map((username) => ({ ...alice, username }));
}

async function usersOf({ kube }: Stage): Promise<ReadonlyMap<string, User>> {
  const list = await kube.json(['-n', NAMESPACE, 'get', 'sftpusers']);
  if (typeof list !== 'object' || list === null || !('items' in list) || !Array.isArray(list.items)) throw new Error('the API server gave no list of users');
  return new Map(
    list.items.map(({ metadata, spec, status }) => {
      const conditions: readonly { readonly type: string; readonly status: string; readonly observedGeneration: number }[] = status?.conditions ?? [];
      const ready = conditions.some((one) => one.type === 'Ready' && one.status === 'True' && one.observedGeneration === metadata.generation);
      return [metadata.name, { uid: metadata.uid, spec, ready }];
    }),
  );
}

async function whenReady(stage: Stage, count: number): Promise<ReadonlyMap<string, User> | undefined> {
  const users = await usersOf(stage);
  return countReady(users) === count ? users : undefined;
}

function countReady(users: ReadonlyMap<string, User>): number {
  return [...users.values()].filter(({ ready }) => ready).length;
}

function crdSpec({ kube }: Stage, name: string): Promise<string> {
  return kube.value(['get', 'crd', name], '{.spec.versions}');
}
