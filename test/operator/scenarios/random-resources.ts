import { setTimeout as sleep } from 'node:timers/promises';
import { hashPassword } from '@skiff/credentials/password-hash';
import { KubeError } from '@skiff/kube/kube-error';
import { EventRoutes, type ResourceType, Secrets, SftpEndpoints, SftpUsers } from '@skiff/kube/resource-type';
import { Secret } from '@skiff/runtime/secret';
import { freePort } from '../../support/free-port.ts';
import { inLanes } from '../../support/lanes.ts';
import type { Random } from '../../support/random.ts';
import type { SkiffProcess } from '../../support/skiff-process.ts';
import { API_VERSION, endpointManifest, KEY, type NamedManifest, userManifest } from '../manifests.ts';
import { until } from '../until.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';
import { makeValue, type Overrides, type Schema, specSchema } from './schema-values.ts';
import { listOurs, unobserved } from './state.ts';

const HOME = 'random';
const GUESTS = 'random-guests';
const NAMESPACES = [HOME, GUESTS] as const;
const SIZES = { short: { resources: 150 }, full: { resources: 2_000 } } as const;
const ENDPOINT_SHARE = 0.04;
const ROUTE_SHARE = 0.2;
const PARALLEL = 12;
const SETTLE_TIMEOUT_MS = 180_000;
/** K7: a plain user beside all of it. */
const PLAIN_LIMIT_S = 30;

/** Resources at random over the whole schema, changed, deleted and made again in between: see the checks. */
export const randomResources: Scenario = { name: 'random resources', namespaces: NAMESPACES, run };

const TYPES = { SftpEndpoint: SftpEndpoints, SftpUser: SftpUsers, EventRoute: EventRoutes } as const;
type Kind = keyof typeof TYPES;

async function run({ rig, checks, random, size, progress }: ScenarioContext): Promise<void> {
  const { resources } = SIZES[size];
  const { client } = rig;
  // Of the guests it may not read Secrets.
  await rig.letReadSecrets([HOME]);
  await makeSecrets(rig.client);
  const healthPort = await freePort();
  const operator = await rig.startOperator('random-operator', { healthPort });
  await operator.waitFor('leadership', ({ msg }) => msg === 'leading', 60_000);
  await rig.apply(endpointManifest(HOME, 'main', { allowedUsers: { namespaces: { from: 'All' } } }));
  const make = makerOf(random);
  const call = () => ({ signal: AbortSignal.timeout(60_000) });
  let taken = 0;
  let refused = 0;
  const attempt = async (work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof KubeError) || !['notFound', 'alreadyExists', 'invalid', 'conflict', 'unsupported'].includes(error.code)) throw error;
      return false;
    }
  };
  const living: { readonly type: ResourceType; readonly manifest: NamedManifest }[] = [];
  const one = async (): Promise<void> => {
    // As many attempts as it takes: what the API server refuses proves nothing about the operator.
    for (let left = 20; left > 0; left--) {
      const made = make();
      if (await attempt(() => client.create(made.type, made.manifest, call()))) {
        taken++;
        living.push(made);
        break;
      }
      refused++;
    }
    const dice = random.next();
    const other = living[random.integer(0, living.length - 1)];
    if (other === undefined || dice > 0.5) return;
    if (dice < 0.2) await attempt(() => client.delete(other.type, other.manifest.metadata, call()));
    else if (dice < 0.4)
      await attempt(() => client.mergePatch(other.type, other.manifest.metadata, { spec: make(other.type.kind as Kind).manifest.spec }, call()));
    else {
      await attempt(() => client.delete(other.type, other.manifest.metadata, call()));
      await attempt(() => client.create(other.type, other.manifest, call()));
    }
  };
  await inLanes(PARALLEL, Array.from({ length: resources }), async (_, index) => {
    await one();
    if ((index + 1) % 200 === 0) progress(`${index + 1} of ${resources}`);
  });
  const began = performance.now();
  let left: readonly string[] = [];
  let work = await workOf(healthPort);
  for (;;) {
    left = unobserved(await listOurs(client, NAMESPACES));
    work = await workOf(healthPort);
    if ((left.length === 0 && work.pending === 0 && work.retrying === 0) || performance.now() - began > SETTLE_TIMEOUT_MS) break;
    await sleep(1_000);
  }
  const survivors = (await listOurs(client, NAMESPACES)).length;
  progress(`${taken} taken, ${refused} refused by the API server, ${survivors} left; settled after ${Math.round(performance.now() - began)} ms`);
  for (const line of left.slice(0, 5)) progress(`✘ ${line}`);
  if (work.pending + work.retrying > 0) {
    progress(`✘ ${work.pending} keys pending, ${work.retrying} waiting for their next attempt`);
    for (const line of failuresOf(operator)) progress(`✘ ${line}`);
  }
  const plainAt = performance.now();
  await rig.apply(userManifest(HOME, 'plain-user', { username: 'plain-user' }));
  await until('a plain user beside them', 'True Ready', () => rig.condition(SftpUsers, 'plain-user', 'Ready', HOME), 60_000);
  checks.add('random resources: taken by the API server', taken, '', `>= ${resources}`);
  checks.add('random resources: left at the end', survivors, '', '>= 20');
  checks.add('random resources: operators that ended over it', operator.running ? 0 : 1, '', '== 0');
  checks.add('random resources: whose status does not speak of their generation', left.length, '', '== 0');
  checks.add('random resources: keys left in the work queue', work.pending + work.retrying, '', '== 0');
  checks.add('random resources: a plain user beside them is ready', (performance.now() - plainAt) / 1_000, 's', `<= ${PLAIN_LIMIT_S}`);
  await operator.stop();
}

async function makeSecrets(client: ScenarioContext['rig']['client']): Promise<void> {
  const hash = await hashPassword(new Secret('password'));
  const data: Readonly<Record<string, string>> = {
    good: Buffer.from(hash).toString('base64'),
    newline: Buffer.from(`${hash}\n`).toString('base64'),
    empty: '',
    binary: Buffer.from([0xff, 0xfe, 0, 1]).toString('base64'),
    huge: Buffer.alloc(300_000, 'x').toString('base64'),
  };
  for (const namespace of NAMESPACES)
    await client.create(
      Secrets,
      { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'secrets' }, type: 'Opaque', data },
      { signal: AbortSignal.timeout(20_000) },
    );
}

function makerOf(random: Random): (kind?: Kind) => { readonly type: ResourceType; readonly manifest: NamedManifest } {
  const schemas: Readonly<Record<Kind, Schema>> = {
    SftpEndpoint: specSchema('SftpEndpoint'),
    SftpUser: specSchema('SftpUser'),
    EventRoute: specSchema('EventRoute'),
  };
  let count = 0;
  return (kind = kindOf(random)) => {
    const namespace = random.pick(NAMESPACES);
    const index = count++;
    // Names as odd as Kubernetes takes them, some longer than a Service's may be.
    const name = random.pick([`r${index}`, `${index}.dotted.name`, `${index}--`.padEnd(random.integer(40, 240), 'x'), `r${index % 50}`]);
    const spec = makeValue(schemas[kind], random, OVERRIDES);
    return { type: TYPES[kind], manifest: { apiVersion: API_VERSION, kind, metadata: { namespace, name }, spec } };
  };
}

function kindOf(random: Random): Kind {
  const dice = random.next();
  if (dice < ENDPOINT_SHARE) return 'SftpEndpoint';
  return dice < ENDPOINT_SHARE + ROUTE_SHARE ? 'EventRoute' : 'SftpUser';
}

/** Enough of them meet, and the machine has not to run a hundred pods for each endpoint. */
const OVERRIDES: Overrides = {
  endpointRef: (random) => {
    const namespace = random.pick([HOME, GUESTS, '', 'nowhere']);
    return { name: random.pick(['main', 'main', 'main', `r${random.integer(0, 49)}`, 'nobody']), ...(namespace === '' ? {} : { namespace }) };
  },
  hashSecretRef: (random) => ({
    name: random.pick(['secrets', 'secrets', 'nothing']),
    key: random.pick(['good', 'good', 'newline', 'empty', 'binary', 'huge', 'missing']),
  }),
  tokenSecretRef: secretRef,
  passwordSecretRef: secretRef,
  clientSecretSecretRef: secretRef,
  caSecretRef: secretRef,
  secretRef,
  publicKey: (random) => random.pick([KEY, KEY, `${KEY} me`, 'ssh-rsa AAAA', '-----BEGIN', '?', 'ü', 'x'.repeat(16_384)]),
  replicas: (random) => random.integer(1, 2),
  autoscaling: (random) => ({ minReplicas: random.integer(1, 2), maxReplicas: random.integer(2, 3) }),
};

function secretRef(random: Random): object {
  return { name: random.pick(['secrets', 'nothing']), key: random.pick(['good', 'empty', 'binary', 'huge', 'missing']) };
}

interface Work {
  readonly pending: number;
  readonly retrying: number;
}

async function workOf(healthPort: number): Promise<Work> {
  const response = await fetch(`http://127.0.0.1:${healthPort}/metrics`, { signal: AbortSignal.timeout(10_000) });
  const text = await response.text();
  const gauge = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  return { pending: gauge('skiff_operator_work_pending'), retrying: gauge('skiff_operator_work_retrying') };
}

/** What fails, each once. */
function failuresOf(operator: SkiffProcess): readonly string[] {
  const failures = operator.lines.slice(-400).filter(({ level }) => level === 'error' || level === 'warn');
  return [
    ...new Map(failures.map((line) => [JSON.stringify([line.msg, line.work, line.endpoint, line.ref]), JSON.stringify(line).slice(0, 900)])).values(),
  ].slice(-6);
}
