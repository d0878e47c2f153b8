import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '@skiff/database/connect';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { sharedMariadb } from '@skiff/database/testing';
import { EventRoutes, SftpEndpoints, SftpUsers } from '@skiff/kube/resource-type';
import { silentLogger } from '@skiff/runtime/logger';
import { sql } from 'kysely';
import { cpuSecondsOf, peakRssMibOf } from '../../bench/process-cpu.ts';
import { inLanes } from '../../support/lanes.ts';
import { percentile } from '../../support/percentile.ts';
import type { SkiffProcess } from '../../support/skiff-process.ts';
import { conditionOf } from '../conditions.ts';
import { endpointManifest, HASH, routeManifest, secretManifest, userManifest } from '../manifests.ts';
import { playKubelet } from '../play-kubelet.ts';
import { until } from '../until.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';

const NAMESPACE = 'steady';
const USERS = { short: 200, full: 4_000 } as const;
const STEADY_MS = { short: 10_000, full: 62_000 } as const;
const PARALLEL = 16;
const CHANGES = 20;
/** Issue 4. The bundle is measured, as the image starts it: Node's type stripping alone takes 50 MiB. */
const LIMITS = { readyS: 60, rssMiB: 256, writesPerUser: 1.5, changeMs: 5_000 } as const;
const ROOT = join(import.meta.dirname, '..', '..', '..');

/** Users who were there before the operator are all ready; then nothing is written but the lease; then some change, one by one. */
export const steadyState: Scenario = { name: 'steady state', namespaces: [NAMESPACE], run, longOnly: true };

async function run(context: ScenarioContext): Promise<void> {
  const { rig, size } = context;
  const folder = await mkdtemp(join(tmpdir(), 'skiff-bundle-'));
  try {
    execFileSync(process.execPath, [join(ROOT, 'tools', 'bundle.ts'), folder]);
    await makeOthers(context);
    await inLanes(PARALLEL, Array.from({ length: USERS[size] }), async (_, index) => {
      const allowedSourceRanges = [`192.0.2.${index % 256}/32`, '198.51.100.0/24'];
      const signal = AbortSignal.timeout(60_000);
      await rig.client.create(SftpUsers, userManifest(NAMESPACE, `user${index}`, { allowedSourceRanges }), { signal });
    });
    const operator = await becomeReady(context, join(folder, 'main.js'));
    await rest(context);
    await changeSome(context);
    await operator.stop();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One of everything else that a resync looks at: a Secret, a route, and pods that serve it. */
async function makeOthers({ rig }: ScenarioContext): Promise<void> {
  await rig.letReadSecrets([NAMESPACE]);
  const events = { serviceBus: { namespace: 'contoso.servicebus.windows.net', queue: 'files' } };
  const password = { hashSecretRef: { name: 'password', key: 'hash' } };
  await rig.apply(
    endpointManifest(NAMESPACE, 'main', { events }),
    secretManifest(NAMESPACE, 'password', { hash: HASH }),
    userManifest(NAMESPACE, 'with-password', { password }),
    routeManifest(NAMESPACE, 'all'),
  );
}

async function becomeReady({ rig, checks, size, progress }: ScenarioContext, main: string): Promise<SkiffProcess> {
  const users = USERS[size] + 1;
  const before = await rig.apiWrites();
  const began = performance.now();
  const operator = await rig.startOperator('steady-operator', { main });
  const readyUsers = async () => {
    const { items } = await rig.client.listPage(SftpUsers, { namespace: NAMESPACE, limit: 0, signal: AbortSignal.timeout(60_000) });
    return items.filter((object) => conditionOf(object, 'Ready')?.status === 'True').length;
  };
  // Listing them all costs the API server more than what is measured.
  while ((await readyUsers()) < users && performance.now() - began < 4_000 * LIMITS.readyS) await sleep(2_000);
  const readyS = (performance.now() - began) / 1_000;
  progress(`${users} users are ready after ${Math.round(readyS)} s`);
  checks.add('steady state: users ready', await readyUsers(), 'users', `== ${users}`);
  checks.add('steady state: all ready after the start of the process', readyS, 's', `<= ${LIMITS.readyS}`);
  checks.add('steady state: writes to the API for each user', ((await rig.apiWrites()) - before) / users, 'writes', `<= ${LIMITS.writesPerUser}`);
  checks.add('steady state: peak memory of the operator', peakRssMibOf(operator.pid), 'MiB', `<= ${LIMITS.rssMiB}`);
  checks.add('steady state: CPU time of the operator', cpuSecondsOf(operator.pid), 's');
  return operator;
}

/** A resync included, in full size. */
async function rest({ rig, checks, size }: ScenarioContext): Promise<void> {
  await playKubelet(rig.client, [NAMESPACE]);
  for (const [type, name] of [[SftpEndpoints, 'main'] as const, [EventRoutes, 'all'] as const])
    await until(`readiness of ${name}`, 'True Ready', () => rig.condition(type, name, 'Ready', NAMESPACE), 60_000);
  // The Deployments say their last word.
  await sleep(3_000);
  const before = { api: await rig.apiWrites(), sql: await sqlWrites() };
  await sleep(STEADY_MS[size]);
  const after = { api: await rig.apiWrites(), sql: await sqlWrites() };
  checks.add('steady state: watched without a change', STEADY_MS[size] / 1_000, 's');
  checks.add('steady state: writes to the API meanwhile, leases aside', after.api - before.api, 'writes', '== 0');
  checks.add('steady state: writes to the database meanwhile', after.sql - before.sql, 'writes', '== 0');
}

async function changeSome({ rig, checks }: ScenarioContext): Promise<void> {
  const rows = createResourceRepository(rig.database.database);
  const id = await rows.endpointId(NAMESPACE, 'main');
  const revision = await rows.revision(id);
  const times: number[] = [];
  for (let index = 0; index < CHANGES; index++) {
    const name = `user${index * 7}`;
    await rig.client.mergePatch(SftpUsers, { namespace: NAMESPACE, name }, { spec: { suspend: true } }, { signal: AbortSignal.timeout(20_000) });
    times.push(await until(name, true, async () => (await rows.findUser(id, name))?.suspended ?? false, 2 * LIMITS.changeMs));
  }
  checks.add('steady state: a change is in the rows, median', percentile(times, 50) ?? Number.NaN, 'ms');
  checks.add(`steady state: a change is in the rows, worst of ${CHANGES}`, Math.max(...times), 'ms', `<= ${LIMITS.changeMs}`);
  checks.add('steady state: rows written for them', Number((await rows.revision(id)) - revision), 'rows', `== ${CHANGES}`);
}

/** Of the whole server. */
async function sqlWrites(): Promise<number> {
  const admin = openDatabase({ url: (await sharedMariadb()).url, logger: silentLogger, poolSize: 1 });
  try {
    const { rows } = await sql<{ total: string }>`
      SELECT CAST(SUM(VARIABLE_VALUE) AS CHAR) AS total FROM information_schema.GLOBAL_STATUS
      WHERE VARIABLE_NAME IN ('COM_INSERT', 'COM_UPDATE', 'COM_DELETE', 'COM_REPLACE')`.execute(admin.queries);
    return Number(rows[0]?.total);
  } finally {
    await admin.close();
  }
}
