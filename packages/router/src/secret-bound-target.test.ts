import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import type { DeliveryTarget } from '@skiff/messaging/delivery-target';
import { gatheredSecretKey } from '@skiff/model/route-secrets';
import { secretFingerprint } from '@skiff/policy/secret-fingerprint';
import { createSecretBoundTarget } from './secret-bound-target.ts';
import { createDirectorySecretReader } from './secret-reader.ts';
import { createTargetFactory } from './target-factory.ts';

const input = { eventId: 'e', event: undefined, body: Buffer.from('{}'), contentType: 'application/json', attempt: 1 };
const never = new AbortController().signal;
const ref = { name: 'app', key: 'token' };
const spec = { name: 't', http: { url: 'http://127.0.0.1:1/', authentication: { bearer: { tokenSecretRef: ref } } } };
const printOf = (value: string) => ({ 'app/token': secretFingerprint('team/app/token', value) });

it('holds deliveries back until the mounted secret is the one that the route was made with', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-secrets-'));
  t.after(() => rm(dir, { recursive: true }));
  let now = 0;
  const made: string[] = [];
  const target = createSecretBoundTarget({
    namespace: 'team',
    target: { ...spec, secretFingerprints: printOf('new') },
    secrets: createDirectorySecretReader(dir),
    make: (secrets): DeliveryTarget => {
      made.push(secrets(ref).reveal());
      return { deliver: async () => ({ kind: 'delivered', detail: 'ok' }), close: async () => {} };
    },
    monotonicMs: () => now,
  });
  const file = join(dir, gatheredSecretKey('team', ref));
  for (const content of [undefined, 'old']) {
    if (content !== undefined) await writeFile(file, content);
    const outcome = await target.deliver(input, never);
    assert.ok(outcome.kind === 'retry' && outcome.untried === true && outcome.reason.includes('not reached'), JSON.stringify(outcome));
    now += 2000;
  }
  await writeFile(file, 'new');
  now += 2000;
  const outcomes = await Promise.all([1, 2, 3].map(() => target.deliver(input, never)));
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ['delivered', 'delivered', 'delivered'],
  );
  assert.deepEqual(made, ['new']);
});

it('makes a target whose secret is not found wait, and one that is given no secrets unusable', async () => {
  const options = { addresses: { allow: ['127.0.0.1'] }, userAgent: 'skiff/test', concurrency: 1 };
  const waiting = createTargetFactory({ ...options, secrets: { read: async () => undefined } })(
    { ...spec, secretFingerprints: {} },
    { namespace: 'team', name: 'r' },
  );
  const outcome = await waiting.deliver(input, never);
  assert.ok(outcome.kind === 'retry' && outcome.untried === true, JSON.stringify(outcome));
  assert.throws(() => createTargetFactory(options)(spec, { namespace: 'team', name: 'r' }), { code: 'UnusableTarget' });
});

it('sends the token of the mounted directory', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-secrets-'));
  await writeFile(join(dir, 'team_app_token'), 't0ken\n');
  const seen: unknown[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const factory = createTargetFactory({
    addresses: { allow: ['127.0.0.1'] },
    userAgent: 'skiff/test',
    concurrency: 1,
    secrets: createDirectorySecretReader(dir),
  });
  const http = { ...spec.http, url: `http://127.0.0.1:${address.port}/` };
  const target = factory({ ...spec, http, secretFingerprints: printOf('t0ken\n') }, { namespace: 'team', name: 'r' });
  t.after(async () => {
    await target.close();
    server.close();
    await rm(dir, { recursive: true });
  });
  assert.equal((await target.deliver(input, never)).kind, 'delivered');
  assert.deepEqual(seen, ['Bearer t0ken']);
});
