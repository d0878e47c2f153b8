import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseFileEvent } from '@skiff/model/parse-file-event';
import { parseAllDocuments, stringify } from 'yaml';
import type { Checks } from '../support/checks.ts';
import type { Login } from '../support/openssh-client.ts';
import { type Demo, detail, step } from './start-demo.ts';

const FILE_BYTES = 3 * 1024 * 1024 + 123;
/** Ready is told by the operator's conditions, users by the servers' poll. */
const LOGIN_PATIENCE_MS = 15_000;

/** Sends a file as each user and follows it: login, blob, event, delivery; then a change of a manifest. */
export async function walkStations(demo: Demo, checks: Checks): Promise<void> {
  const login = { host: '127.0.0.1', port: demo.port };
  const alice: Login = { ...login, username: 'alice', credential: { keyFile: demo.keyFile } };
  const bob: Login = { ...login, username: 'bob', credential: { password: demo.password } };
  await sendAndFollow(demo, checks, alice, 'by key');
  await sendAndFollow(demo, checks, bob, 'by password');
  await suspend(demo, checks, bob);
}

async function sendAndFollow(demo: Demo, checks: Checks, login: Login, way: string): Promise<void> {
  step(`Sending a file as ${login.username}, ${way}`);
  const content = randomBytes(FILE_BYTES);
  const local = join(demo.manifests, '..', `${login.username}.bin`);
  await writeFile(local, content);
  await untilLoggedIn(demo, login);
  const path = `/report-${login.username}.bin`;
  const sent = await demo.client.sftp(login, [`put ${local} ${path}`, `get ${path} ${local}.back`]);
  checks.add(`${login.username}: upload and download ${way}`, sent.exitCode, 'exit code', '== 0');
  if (sent.exitCode !== 0) throw new Error(sent.stderr);
  const same = sha256(await readFile(`${local}.back`)) === sha256(content);
  checks.add(`${login.username}: SHA-256 equal after the round trip`, same ? 1 : 0, 'of 1', '== 1');
  detail(`SFTP: ${FILE_BYTES} bytes up and down, SHA-256 equal`);
  const delivery = await demo.inbox.waitFor(`delivery for ${path}`, (received) => parseFileEvent(JSON.parse(received.body))?.data.path === path);
  const event = parseFileEvent(JSON.parse(delivery.body));
  if (event === undefined) throw new Error('the application was sent something that is no event');
  detail(`blob: ${event.data.blob.url} (${event.data.blob.etag ?? 'no ETag'})`);
  detail(`event: ${event.id}, sequence ${event.sequence ?? 'none'}`);
  const latencyMs = delivery.atMs - Date.parse(event.time);
  detail(`delivery: POST ${delivery.path}, ${latencyMs} ms after the close was recorded`);
  checks.add(`${login.username}: close recorded → application called`, latencyMs, 'ms', '<= 5000');
  checks.add(`${login.username}: blob in the event is the user's file`, event.data.sizeBytes ?? -1, 'bytes', `== ${FILE_BYTES}`);
}

async function untilLoggedIn(demo: Demo, login: Login): Promise<void> {
  const startedAt = performance.now();
  for (;;) {
    const tried = await demo.client.sftp(login, ['pwd']);
    if (tried.exitCode === 0) return;
    if (performance.now() - startedAt > LOGIN_PATIENCE_MS) throw new Error(`${login.username} cannot log in: ${tried.stderr}`);
    await sleep(200);
  }
}

/** Adds `suspend: true` to bob's manifest while he is logged in. */
async function suspend(demo: Demo, checks: Checks, login: Login): Promise<void> {
  step('Suspending bob in the manifest while he is logged in');
  const file = join(demo.manifests, 'users.yaml');
  const hangUp = new AbortController();
  const session = demo.client.sftp(login, ['!sleep 20', 'pwd'], hangUp.signal).catch(() => undefined);
  await demo.skiff.waitFor('session of bob', (line) => line.msg === 'session opened' && line.user === 'bob');
  await sleep(500);
  const documents = parseAllDocuments(await readFile(file, 'utf8'));
  documents.find((document) => document.getIn(['metadata', 'name']) === login.username)?.setIn(['spec', 'suspend'], true);
  const startedAt = performance.now();
  await writeFile(file, documents.map((document) => stringify(document)).join('---\n'));
  await demo.skiff.waitFor('end of the session', (line) => line.msg === 'login no longer holds' && line.user === 'bob', 15_000);
  const tookMs = performance.now() - startedAt;
  detail(`his session ended ${Math.round(tookMs)} ms after the file was saved`);
  checks.add('suspension effective on a live session', tookMs, 'ms', '<= 5000');
  const refused = await demo.client.sftp(login, ['pwd']);
  checks.add('a suspended user cannot log in', refused.exitCode === 0 ? 0 : 1, 'of 1', '== 1');
  hangUp.abort();
  await session;
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
