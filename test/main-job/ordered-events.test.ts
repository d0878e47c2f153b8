import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { parseFileEvent } from '@skiff/model/parse-file-event';
import { eventually } from '../support/eventually.ts';
import { SftpTestClient } from '../support/sftp-test-client.ts';
import { ATTEMPT_SECONDS, type MainJobRig, startMainJobRig } from './main-job-rig.ts';

const OVERWRITES = 24;
const PATH = '/same.txt';
/** The application refuses the first try of every so manieth event of the path. */
const REFUSED_EVERY = 5;

interface Attempt {
  readonly path: string;
  readonly sequence: string;
  readonly accepted: boolean;
}

let rig: MainJobRig;
const attempts: Attempt[] = [];
const seen = new Set<string>();

/** An application that now and then refuses an event at first. */
const application = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const event = parseFileEvent(JSON.parse(Buffer.concat(chunks).toString()));
    assert.ok(event?.sequence !== undefined);
    const { path } = event.data;
    const first = !seen.has(event.id);
    seen.add(event.id);
    const refused = path === PATH && first && attempts.filter((one) => one.path === PATH && one.accepted).length % REFUSED_EVERY === 2;
    attempts.push({ path, sequence: event.sequence, accepted: !refused });
    response.writeHead(refused ? 503 : 204).end();
  });
});

before(async () => {
  rig = await startMainJobRig('PerPath');
  application.listen(0, '127.0.0.1');
  await once(application, 'listening');
  const address = application.address();
  assert.ok(typeof address === 'object' && address !== null);
  const targets = [
    {
      name: 'app',
      http: { url: `http://127.0.0.1:${address.port}/` },
      delivery: { timeoutSeconds: ATTEMPT_SECONDS, minBackoffSeconds: 1, maxBackoffSeconds: 2 },
    },
  ];
  const row = { namespace: 'default', name: 'strict', uid: 'uid-strict', match: null, targets };
  await createResourceRepository(rig.database.database).applyRoutes(rig.site.endpointId, [{ kind: 'put', row }]);
});
after(async () => {
  application.closeAllConnections();
  application.close();
  await rig?.stop();
});

const accepted = (path: string): readonly string[] => attempts.filter((one) => one.path === path && one.accepted).map(({ sequence }) => sequence);

test('every target gets the events of a path in order, over two servers, two routers, refusals, lost links and killed processes', {
  timeout: 240_000,
}, async () => {
  const [one, two] = await Promise.all([rig.site.start(), rig.site.start()]);
  const [first] = await Promise.all([rig.site.startRouter(), rig.site.startRouter()]);
  const clients = await Promise.all([SftpTestClient.connect(one.byKey), SftpTestClient.connect(two.byKey)]);
  const [left, right] = clients;
  assert.ok(left && right);
  for (let i = 0; i < OVERWRITES; i++) {
    await (i % 2 === 0 ? left : right).put(PATH, Buffer.from(`version ${i}`));
    await left.put(`/other-${i % 4}.txt`, Buffer.from(`version ${i}`));
    if (i === 8) await rig.azure.serviceBus.fault('detachLinks');
    if (i === 14) await first.kill();
    if (i === 18) await rig.azure.serviceBus.fault('dropConnections');
    await sleep(50);
  }
  // What it had claimed, sent or not, the other goes on with.
  left.end();
  await one.process.kill();
  await eventually('all events of the path', () => new Set(accepted(PATH)).size === OVERWRITES, 150_000);
  right.end();
  const refusals = attempts.filter((attempt) => !attempt.accepted).length;
  console.log(
    `${attempts.length} attempts, ${refusals} refused, ${attempts.length - refusals - new Set(attempts.map(({ sequence }) => sequence)).size} doubles`,
  );
  assert.ok(refusals >= 3, 'some were refused');
  for (const path of new Set(attempts.map((attempt) => attempt.path))) {
    let last = '';
    for (const { sequence, accepted: taken } of attempts.filter((attempt) => attempt.path === path)) {
      // A double of what was accepted may come late; a later one never comes before an earlier one was accepted.
      const earlier = attempts.filter((attempt) => attempt.path === path && attempt.sequence < sequence).map((attempt) => attempt.sequence);
      assert.ok(
        earlier.every((before) => before <= last),
        `${path}: ${sequence} was tried while the last accepted was ${last}`,
      );
      if (taken && sequence > last) last = sequence;
    }
  }
});
