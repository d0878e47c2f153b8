import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '@skiff/database/connect';
import { sharedMariadb } from '@skiff/database/testing';
import { SftpUsers } from '@skiff/kube/resource-type';
import { silentLogger } from '@skiff/runtime/logger';
import { sql } from 'kysely';
import { conditionOf } from '../operator-rig.ts';
import { endpointManifest, userManifest } from './manifests.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';

const NAMESPACE = 'steady';
const USERS = { short: 200, full: 4_000 } as const;
const STEADY_MS = { short: 10_000, full: 62_000 } as const;
const PARALLEL = 16;
/** Issue 4. The bundle is measured, as the image starts it: Node's type stripping alone takes 50 MiB. */
const LIMITS = { readyS: 60, rssMiB: 256 } as const;
const ROOT = join(import.meta.dirname, '..', '..', '..');

/** Users who were there before the operator are all ready, and then nothing is written but the lease. */
export const steadyState: Scenario = { name: 'steady state', namespaces: [NAMESPACE], run, longOnly: true };

async function run({ rig, checks, size, progress }: ScenarioContext): Promise<void> {
  const users = USERS[size];
  const call = () => ({ signal: AbortSignal.timeout(60_000) });
  const folder = await mkdtemp(join(tmpdir(), 'skiff-bundle-'));
  try {
    execFileSync(process.execPath, [join(ROOT, 'tools', 'bundle.ts'), folder]);
    await rig.apply(endpointManifest(NAMESPACE, 'main'));
    let next = 0;
    const create = async () => {
      for (let index = next++; index < users; index = next++) {
        const allowedSourceRanges = [`192.0.2.${index % 256}/32`, '198.51.100.0/24'];
        await rig.client.create(SftpUsers, userManifest(NAMESPACE, `user${index}`, { allowedSourceRanges }), call());
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, create));
    progress(`${users} users are there`);
    const began = performance.now();
    const operator = await rig.startOperator('steady-operator', { main: join(folder, 'main.js') });
    const readyUsers = async () => {
      const { items } = await rig.client.listPage(SftpUsers, { namespace: NAMESPACE, limit: 0, ...call() });
      return items.filter((object) => conditionOf(object, 'Ready')?.status === 'True').length;
    };
    // Listing them all costs the API server more than what is measured.
    while ((await readyUsers()) < users && performance.now() - began < 4_000 * LIMITS.readyS) await sleep(2_000);
    const readyS = (performance.now() - began) / 1_000;
    progress(`${await readyUsers()} are ready after ${Math.round(readyS)} s`);
    // Endpoint and Deployments say their last word.
    await sleep(5_000);
    const before = { api: await rig.apiWrites(), sql: await sqlWrites() };
    await sleep(STEADY_MS[size]);
    const after = { api: await rig.apiWrites(), sql: await sqlWrites() };
    checks.add('steady state: users ready', await readyUsers(), 'users', `== ${users}`);
    checks.add('steady state: all ready after the start of the process', readyS, 's', `<= ${LIMITS.readyS}`);
    checks.add('steady state: peak memory of the operator', await peakRssMiB(operator.pid), 'MiB', `<= ${LIMITS.rssMiB}`);
    checks.add('steady state: watched without a change', STEADY_MS[size] / 1_000, 's');
    checks.add('steady state: writes to the API meanwhile, leases aside', after.api - before.api, 'writes', '== 0');
    checks.add('steady state: writes to the database meanwhile', after.sql - before.sql, 'writes', '== 0');
    await operator.stop();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function peakRssMiB(pid: number): Promise<number> {
  const line = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(line?.[1]) / 1024);
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
