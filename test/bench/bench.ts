import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPrivateMariadb } from '@skiff/database/private-mariadb';
import { silentLogger } from '@skiff/runtime/logger';
import { startAzure } from '../emulators/azure.ts';
import { startBlobStandInProcess } from '../emulators/blob-stand-in/blob-stand-in-process.ts';
import { Checks } from '../support/checks.ts';
import { freePort } from '../support/free-port.ts';
import { type Login, OpenSshClient } from '../support/openssh-client.ts';
import { prepareServerSite } from '../support/sftp-server-process.ts';
import { startOpenSshServer } from './openssh-server.ts';
import { cpuSecondsOf, peakRssMibOf } from './process-cpu.ts';
import { addLatencyChecks } from './small-files/latency-checks.ts';
import { addRouterChecks } from './small-files/router-checks.ts';

const SIZE_MIB = 256;
const ROUNDS = 5;
const CONTAINER = 'files';

interface Subject {
  readonly name: string;
  readonly login: Login;
  readonly pid: number;
  readonly remote: string;
}

interface Sample {
  readonly mibPerSecond: number;
  readonly cpuSecondsPerGib: number;
}

const checks = new Checks('bench');
const dir = await mkdtemp(join(tmpdir(), 'skiff-bench-'));
const stops: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
process.on('SIGINT', () => process.exit(130));
try {
  console.log(`One ${SIZE_MIB} MiB file with the OpenSSH client, ${ROUNDS} rounds in alternation; medians.`);
  console.log(
    'Skiff: blob stand-in in memory over HTTP with shared key, MariaDB with fsync, events to the Service Bus emulator. OpenSSH: sftp-server on the local disk.',
  );
  const client = new OpenSshClient(join(dir, 'client'));
  const subjects = [await startSkiff(client), await startPeer(client)];
  const local = join(dir, 'payload');
  await writeFile(local, randomBytes(SIZE_MIB * 1024 * 1024));
  const results = new Map<string, { readonly up: Sample[]; readonly down: Sample[] }>(subjects.map(({ name }) => [name, { up: [], down: [] }]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const up = await transfer(client, subject, `put ${local} ${subject.remote}`);
      const down = await transfer(client, subject, `get ${subject.remote} /dev/null`);
      // The first round warms up: compilers, caches, connections.
      if (round === 0) continue;
      results.get(subject.name)?.up.push(up);
      results.get(subject.name)?.down.push(down);
      process.stderr.write(`  round ${round}/${ROUNDS} ${subject.name}: up ${up.mibPerSecond.toFixed(0)}, down ${down.mibPerSecond.toFixed(0)} MiB/s\n`);
    }
  }
  addTransferChecks(checks, results, subjects);
} finally {
  for (const stop of stops.reverse()) await stop();
}
await addLatencyChecks(checks);
await addRouterChecks(checks);
process.exitCode = checks.finish() ? 0 : 1;

async function startSkiff(client: OpenSshClient): Promise<Subject> {
  const mariadb = await startPrivateMariadb({ dataDir: join(dir, 'database'), logger: silentLogger, signal: AbortSignal.timeout(60_000), ephemeral: true });
  stops.push(() => mariadb.stop());
  const blobs = await startBlobStandInProcess({ containers: [CONTAINER] });
  stops.push(() => blobs.stop());
  const azure = await startAzure({ dir: join(dir, 'azure'), queues: ['events'] });
  stops.push(() => azure.stop());
  const site = await prepareServerSite({
    dir: join(dir, 'skiff'),
    databaseUrl: mariadb.url,
    storage: { kind: 'azureBlob', account: blobs.accountName, container: CONTAINER, prefix: '', endpoint: blobs.url },
    events: { kind: 'serviceBus', ...azure.serviceBusAddress, queue: 'events' },
    env: { ...azure.env, AZURE_STORAGE_KEY: blobs.accountKey, SKIFF_LOG_LEVEL: 'info' },
    client,
  });
  stops.push(() => site.close());
  const server = await site.start();
  stops.push(() => server.process.stop());
  return { name: 'Skiff', login: server.byKey, pid: server.process.pid, remote: '/payload' };
}

async function startPeer(client: OpenSshClient): Promise<Subject> {
  const peer = await startOpenSshServer(join(dir, 'openssh'), await freePort(), client);
  stops.push(() => peer.stop());
  return { name: 'OpenSSH', login: peer.login, pid: peer.pid, remote: join(peer.directory, 'payload') };
}

async function transfer(client: OpenSshClient, subject: Subject, command: string): Promise<Sample> {
  const before = cpuSecondsOf(subject.pid);
  const result = await client.sftp(subject.login, [command]);
  if (result.exitCode !== 0) throw new Error(`${subject.name}: ${command}: ${result.stderr}`);
  // A child of sshd is counted once it is reaped.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const cpu = cpuSecondsOf(subject.pid) - before;
  return { mibPerSecond: SIZE_MIB / (result.elapsedMs / 1000), cpuSecondsPerGib: cpu / (SIZE_MIB / 1024) };
}

type Samples = ReadonlyMap<string, { readonly up: readonly Sample[]; readonly down: readonly Sample[] }>;

function addTransferChecks(checks: Checks, results: Samples, subjects: readonly Subject[]): void {
  const medianOf = (name: string, way: 'up' | 'down', figure: keyof Sample) => median((results.get(name)?.[way] ?? []).map((sample) => sample[figure]));
  for (const { name } of subjects) {
    for (const way of ['up', 'down'] as const) {
      checks.add(`${name} ${way}load`, medianOf(name, way, 'mibPerSecond'), 'MiB/s');
      checks.add(`${name} ${way}load, server CPU`, medianOf(name, way, 'cpuSecondsPerGib'), 's/GiB');
    }
  }
  const ratio = (way: 'up' | 'down') => medianOf('Skiff', way, 'mibPerSecond') / medianOf('OpenSSH', way, 'mibPerSecond');
  // Files go to a store over HTTP with a write-ahead row; the peer writes to its page cache. The limits are those of the first release.
  checks.add('upload, Skiff / OpenSSH', ratio('up'), '×', '>= 0.8');
  checks.add('download, Skiff / OpenSSH', ratio('down'), '×', '>= 0.6');
  const skiff = subjects[0];
  if (skiff !== undefined) checks.add('Skiff peak RSS', peakRssMibOf(skiff.pid), 'MiB', '<= 300');
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
