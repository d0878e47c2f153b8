import { setTimeout as sleep } from 'node:timers/promises';
import { openTestDatabase } from '@skiff/database/testing';
import { Deployments, type ResourceType, SftpEndpoints } from '@skiff/kube/resource-type';
import { eventually } from '../../support/eventually.ts';
import { API_VERSION, endpointManifest } from '../manifests.ts';
import { until } from '../until.ts';
import { startChurn } from './churn.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';
import { differences, listOurs, listOwned, OUR_TYPES, type Settled, settle } from './state.ts';
import { TracedOperators } from './traced-operators.ts';
import { overlaps, strayWrites, termsOf } from './writers.ts';

/** K1. */
const TAKEOVER_LIMIT_S = 20;
const NAMESPACES = ['kills', 'kills-guests'] as const;
const SIZES = { short: { kills: 1, freezes: 1, pauseMs: 20 }, full: { kills: 10, freezes: 2, pauseMs: 20 } } as const;
/** Of a process, on a busy machine. */
const START_TIMEOUT_MS = 60_000;
const GIVE_UP_MS = 60_000;
const AFTER_TAKEOVER_MS = 3_000;
const QUIET = { quietMs: 5_000, timeoutMs: 120_000 };
const SHOWN = 5;

/** Two replicas, the leader killed again and again while resources change: see the checks. */
export const leaderKills: Scenario = { name: 'leader kills', namespaces: NAMESPACES, run };

async function run(context: ScenarioContext): Promise<void> {
  const { rig, checks, random, size, progress } = context;
  const { kills, freezes, pauseMs } = SIZES[size];
  const { client } = rig;
  await rig.letReadSecrets(NAMESPACES);
  const events = { serviceBus: { namespace: 'contoso.servicebus.windows.net', queue: 'files' } };
  await rig.apply(endpointManifest(NAMESPACES[0], 'main', { events, allowedUsers: { namespaces: { from: 'All' } } }));
  const settled = await (async (): Promise<Settled> => {
    await using operators = await TracedOperators.start(rig);
    let started = 0;
    const add = () => operators.add(`op${++started}`);
    await (await add()).waitFor('leadership', ({ msg }) => msg === 'leading', START_TIMEOUT_MS);
    await (await add()).waitFor('candidacy', ({ msg }) => msg === 'operator running', START_TIMEOUT_MS);
    const churn = await startChurn({ client, random, namespaces: NAMESPACES, pauseMs });
    for (let kill = 1; kill <= kills; kill++) {
      await sleep(AFTER_TAKEOVER_MS + random.integer(0, 2_000));
      const takeoverMs = await killLeader(operators);
      checks.add(`leader kill ${kill}: takeover`, takeoverMs / 1_000, 's', `<= ${TAKEOVER_LIMIT_S}`);
      progress(`kill ${kill}: the next led after ${takeoverMs} ms, ${churn.changes()} changes so far`);
      await (await add()).waitFor('candidacy', ({ msg }) => msg === 'operator running', START_TIMEOUT_MS);
    }
    for (let freeze = 1; freeze <= freezes; freeze++) {
      await sleep(AFTER_TAKEOVER_MS);
      const [frozen] = operators.leaders;
      frozen?.signal('SIGSTOP');
      const takeoverMs = await untilLed(operators, frozen?.pid);
      frozen?.signal('SIGCONT');
      await untilOneLeads(operators);
      checks.add(`leader frozen ${freeze}: takeover`, takeoverMs / 1_000, 's', `<= ${TAKEOVER_LIMIT_S}`);
      progress(`freeze ${freeze}: the next led after ${takeoverMs} ms`);
    }
    await sleep(AFTER_TAKEOVER_MS);
    await churn.stop();
    checks.add('leader kills: changes meanwhile', churn.changes(), 'changes', '>= 20');
    const end = await settle({ client, database: rig.database.database, namespaces: NAMESPACES }, QUIET);
    progress(`settled ${end.settledMs} ms after the last change`);
    const { leases, writes } = await operators.writes();
    const terms = termsOf(leases);
    const stray = [...strayWrites(writes, terms), ...overlaps(writes, terms)];
    for (const line of stray.slice(0, SHOWN)) progress(`✘ ${line}`);
    checks.add('leader kills: writes of API server and database on record', writes.length, 'writes', '>= 100');
    checks.add('leader kills: stretches of leadership on record', terms.length, '', `>= ${kills + freezes + 1}`);
    checks.add('leader kills: writes outside of the writer’s lease, epochs that overlap', stray.length, '', '== 0');
    return end;
  })();
  checks.add('leader kills: resources unobserved at the end', settled.unobserved.length, '', '== 0');
  const wrong = differences(settled.state, await golden(context));
  for (const line of wrong.slice(0, SHOWN)) progress(`✘ ${line}`);
  checks.add('leader kills: rows, statuses and objects in the end', settled.state.size, '', '>= 30');
  checks.add('leader kills: of these other than an undisturbed operator’s', wrong.length, '', '== 0');
}

/** Until another one leads, ms. */
async function killLeader(operators: TracedOperators): Promise<number> {
  const [leader] = operators.leaders;
  if (leader === undefined || operators.running.length < 2) throw new Error('there must be a leader and a second replica');
  const { pid } = leader;
  await leader.kill();
  return untilLed(operators, pid);
}

async function untilLed(operators: TracedOperators, except: number | undefined): Promise<number> {
  const began = performance.now();
  await eventually('a leader', () => operators.leaders.some(({ pid }) => pid !== except), GIVE_UP_MS).catch((error: unknown) => {
    throw new Error(`nobody leads\n${operators.running.map((one) => one.describe()).join('\n')}`, { cause: error });
  });
  return Math.round(performance.now() - began);
}

/** Who was woken needs a moment to see that it leads no longer. */
async function untilOneLeads(operators: TracedOperators): Promise<void> {
  await eventually('only one who thinks that they lead', () => operators.leaders.length === 1, GIVE_UP_MS);
}

/** What one undisturbed operator makes of the resources that are there now, from nothing: no rows, no statuses, no objects. */
async function golden({ rig, progress }: ScenarioContext): Promise<ReadonlyMap<string, string>> {
  const { client } = rig;
  const options = () => ({ signal: AbortSignal.timeout(30_000) });
  for (const { type, object } of await listOwned(client, NAMESPACES)) {
    const { namespace = '', name } = object.metadata;
    if (!name.endsWith('-host-keys')) await client.delete(type, { namespace, name }, { ...options(), propagation: 'Background' });
  }
  const ours = await listOurs(client, NAMESPACES);
  for (const { kind, metadata } of ours) {
    const { namespace = '', name } = metadata;
    await client.applyStatus(typeOf(kind), { apiVersion: API_VERSION, kind, metadata: { namespace, name }, status: { conditions: [] } }, options());
  }
  const goes = async () =>
    (await listOwned(client, NAMESPACES)).filter(({ type, object }) => type === Deployments || object.metadata.deletionTimestamp !== undefined).length;
  await until('what is still to go', 0, goes, GIVE_UP_MS);
  const database = await openTestDatabase();
  const operator = await rig.startOperator('golden', { databaseUrl: database.url });
  try {
    await operator.waitFor('leadership', ({ msg }) => msg === 'leading', START_TIMEOUT_MS);
    const { state, unobserved } = await settle({ client, database: database.database, namespaces: NAMESPACES }, QUIET);
    if (unobserved.length > 0) progress(`✘ golden: ${unobserved[0]}`);
    return state;
  } finally {
    await operator.stop();
    await database.close();
  }
}

function typeOf(kind: string): ResourceType {
  return OUR_TYPES.find((type) => type.kind === kind) ?? SftpEndpoints;
}
