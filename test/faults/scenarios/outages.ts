import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionLostError, SftpStatusError, SftpTestClient } from '../../support/sftp-test-client.ts';
import { attemptOf, contentOf } from '../content.ts';
import { Traffic, type UploadPlan } from '../traffic.ts';
import { judge, type Scenario, type ScenarioContext } from './scenario.ts';

const MIB = 1024 * 1024;
/** The queue of the rig forgets after 20 s. */
export const DUPLICATE_WINDOW_MS = 20_000;

/** Service Bus is down longer than it remembers ids, while uploads go on, some of them on one path again and again. */
export const serviceBusDown: Scenario = {
  name: 'Service Bus down',
  async run(context) {
    const { rig, checks, progress, random, long } = context;
    const traffic = new Traffic(random);
    const server = await rig.site.start();
    const client = await SftpTestClient.connect(server.byKey);
    const outageMs = (long ? 10 : 1.5) * DUPLICATE_WINDOW_MS;
    await rig.azure.serviceBus.kill();
    progress(`killed for ${outageMs / 1000} s`);
    let sent = 0;
    for (const end = performance.now() + outageMs; performance.now() < end; sent++) {
      const path = sent % 3 === 0 ? '/bus/same' : `/bus/${sent}`;
      await traffic.upload(client, { path, sizeBytes: random.integer(16, 20_000), login: server.byKey, home: 'ann' });
      await sleep(20);
    }
    await rig.azure.serviceBus.restart();
    const back = performance.now();
    progress(`back after ${sent} uploads`);
    checks.add('Service Bus down: uploads that failed', traffic.attempts.length - traffic.acknowledged, 'uploads', '== 0');
    for (const end = back + 150_000; performance.now() < end; await sleep(200)) if ((await rig.log.outboxStatus(rig.site.endpointId)).waiting === 0) break;
    checks.add('Service Bus down: backlog drained after', (performance.now() - back) / 1000, 's', '<= 120');
    await judge(context, { name: 'Service Bus down', directory: 'ann/bus', traffic });
    client.end();
    await server.process.stop();
  },
};

/** MySQL is away: downloads and known users do not notice, uploads fail truthfully, and nothing is stolen afterwards. */
export const databaseDown: Scenario = {
  name: 'MySQL down',
  async run(context) {
    const { rig, checks, progress, random, long } = context;
    const traffic = new Traffic(random);
    const [one, two] = await Promise.all([rig.site.start(), rig.site.start()]);
    const clients = await Promise.all(Array.from({ length: 6 }, () => SftpTestClient.connect(one.byKey)));
    const [downloader, uploader, closer, waiting, small] = clients;
    if (downloader === undefined || uploader === undefined || closer === undefined || waiting === undefined || small === undefined)
      throw new Error('no clients');
    const plan = (path: string, sizeBytes: number): UploadPlan => ({ path: `/database/${path}`, sizeBytes, login: one.byKey, home: 'ann' });
    const large = await traffic.upload(small, plan('large', 16 * MIB));
    const outageMs = long ? 120_000 : 45_000;
    const download = slowDownload(downloader, '/database/large', outageMs + 5_000);
    const id = random.hex(16);
    const content = contentOf(id, 6 * MIB);
    const startedMs = traffic.now();
    const handle = await uploader.open('/database/across', 'w');
    await uploader.write(handle, content.subarray(0, 3 * MIB));
    const closing = await waiting.open('/database/closing', 'w');
    await waiting.write(closing, contentOf(random.hex(16), 3 * MIB));
    // Its file is in the store and its row says `committing` when the database goes.
    const slow = await rig.site.start({ SKIFF_FAILPOINTS: 'upload.blobCommitted=sleep:2500' });
    const committed = traffic.uploadOnce({ ...plan('committed', 5_000), login: slow.byKey });
    await sleep(1_500);
    rig.databaseGate.shut();
    progress(`cut off for ${outageMs / 1000} s`);
    const downAt = performance.now();
    const truthful = failsWithin(() => waiting.close(closing));
    const newcomer = failsWithin(() => closer.put('/database/newcomer', Buffer.from('x')));
    const login = await SftpTestClient.connect(two.byKey).then(
      (client) => client.list('/').finally(() => client.end()),
      () => undefined,
    );
    checks.add('MySQL down: known users log in and list', login === undefined ? 0 : 1, 'logins', '== 1');
    await uploader.write(handle, content.subarray(3 * MIB), 3 * MIB);
    for (const [name, failure] of Object.entries({ 'CLOSE of an upload': await truthful, 'a new small file': await newcomer })) {
      checks.add(`MySQL down: ${name} fails, with the reason, after`, failure / 1000, 's', '<= 35');
    }
    const unconfirmed = await committed;
    checks.add('MySQL down: an upload already in the store is not confirmed', unconfirmed?.outcome === 'refused' ? 1 : 0, 'uploads', '== 1');
    await sleep(Math.max(0, outageMs - (performance.now() - downAt)));
    rig.databaseGate.open();
    progress('back');
    const across = await uploader.close(handle).then(
      () => ({ outcome: 'acknowledged', reason: '' }) as const,
      (error: unknown) => ({ outcome: 'refused', reason: String(error) }) as const,
    );
    traffic.attempts.push({
      id,
      username: 'ann',
      path: '/database/across',
      blob: 'ann/database/across',
      sizeBytes: content.length,
      startedMs,
      endedMs: traffic.now(),
      ...across,
    });
    if (across.outcome === 'refused') progress(`upload across the outage: ${across.reason}`);
    checks.add('MySQL down: live uploads stolen', across.outcome === 'acknowledged' ? 0 : 1, 'uploads', '== 0');
    checks.add('MySQL down: running download intact', attemptOf(await download) === large.id ? 1 : 0, 'downloads', '== 1');
    await traffic.uploadUntilAcknowledged(() => plan('after', 1_000), 30_000);
    checks.add('MySQL down: servers that had to be restarted', [one, two, slow].filter((server) => !server.process.running).length, 'servers', '== 0');
    // What failed truthfully may still be completed by recovery: the same names again.
    await traffic.uploadUntilAcknowledged(() => plan('closing', 2_000), 60_000);
    await traffic.uploadUntilAcknowledged(() => plan('newcomer', 2_000), 60_000);
    await judge(context, { name: 'MySQL down', directory: 'ann/database', traffic });
    for (const client of clients) client.end();
    await Promise.all([one, two, slow].map((server) => server.process.stop()));
  },
};

async function slowDownload(client: SftpTestClient, path: string, overMs: number): Promise<Buffer> {
  const size = (await client.sizeOf(path)) ?? 0;
  const handle = await client.open(path, 'r');
  const chunks: Buffer[] = [];
  for (let offset = 0; offset < size; ) {
    const chunk = await client.read(handle, offset, 256 * 1024);
    chunks.push(chunk);
    offset += chunk.length;
    await sleep((overMs * chunk.length) / size);
  }
  await client.close(handle);
  return Buffer.concat(chunks);
}

/** How long a call took to fail with a reason, ms. @throws {Error} when it succeeded, or the connection broke. */
async function failsWithin(call: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  try {
    await call();
  } catch (error) {
    if (error instanceof SftpStatusError && error.message.length >= 10) return performance.now() - startedAt;
    if (error instanceof ConnectionLostError) throw new Error('the connection broke instead of an answer', { cause: error });
    throw error;
  }
  throw new Error('succeeded although the database was away');
}

/** One in five requests to Blob Storage fails: busy, throttled, 500, reset before the answer, reset after the effect. */
export const blobFaults: Scenario = {
  name: 'blob faults',
  async run(context: ScenarioContext) {
    const { rig, checks, progress, random, long } = context;
    if (rig.standIn === undefined) throw new Error('needs the stand-in');
    const traffic = new Traffic(random);
    const [one, two] = await Promise.all([rig.site.start(), rig.site.start()]);
    const forMs = long ? 120_000 : 30_000;
    await rig.standIn.setFaults({ errorRate: 0.2, seed: random.integer(1, 2 ** 31) });
    progress(`20 % for ${forMs / 1000} s`);
    let wrong = 0;
    let read = 0;
    let next = 0;
    const lane = async (number: number) => {
      const server = number % 2 === 0 ? one : two;
      const client = await SftpTestClient.connect(server.byKey);
      for (const end = performance.now() + forMs; performance.now() < end; ) {
        const index = next++;
        const sizeBytes = index % 5 === 0 ? 2.5 * MIB : random.integer(16, 50_000);
        const attempt = await traffic.upload(client, { path: `/blob-faults/${index}`, sizeBytes, login: server.byKey, home: 'ann' });
        if (attempt.outcome !== 'acknowledged') continue;
        const content = await client.get(attempt.path).catch(() => undefined);
        if (content === undefined) continue;
        read++;
        if (attemptOf(content) !== attempt.id) wrong++;
      }
      client.end();
    };
    await Promise.all(Array.from({ length: 8 }, (_, number) => lane(number)));
    await rig.standIn.setFaults({});
    const slowest = Math.max(...traffic.attempts.map((attempt) => attempt.endedMs - attempt.startedMs));
    checks.add('blob faults: downloads with wrong bytes', wrong, 'files', '== 0');
    checks.add('blob faults: downloads compared', read, 'files', '>= 10');
    checks.add('blob faults: slowest answer', slowest / 1000, 's', '<= 60');
    await judge(context, { name: 'blob faults', directory: 'ann/blob-faults', traffic });
    await Promise.all([one.process.stop(), two.process.stop()]);
  },
};
