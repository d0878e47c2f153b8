import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { generateHostKey } from '@skiff/credentials/host-key';
import { migrate } from '@skiff/database/migrate';
import { openTestDatabase } from '@skiff/database/testing';
import { silentLogger } from '@skiff/runtime/logger';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { SkiffProcess } from '../support/skiff-process.ts';
import { testEndpoint } from '../support/test-endpoint.ts';

const TIMEOUT_MS = 60_000;
const EVENTS = { kind: 'serviceBus', namespace: 'nowhere', queue: 'events', endpoint: 'sb://127.0.0.1:1' } as const;
const FOREVER = new AbortController().signal;

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'skiff-startup-'));
  writeFileSync(join(dir, 'host_key'), generateHostKey().privateKey.reveal(), { mode: 0o600 });
});
after(() => rmSync(dir, { recursive: true, force: true }));

async function statusOf(healthPort: number, path: string): Promise<number | undefined> {
  try {
    return (await fetch(`http://127.0.0.1:${healthPort}${path}`, { signal: AbortSignal.timeout(5_000) })).status;
  } catch {
    return undefined;
  }
}

async function becomes(healthPort: number, path: string, status: number): Promise<void> {
  await eventually(`${path} is ${status}`, async () => (await statusOf(healthPort, path)) === status, TIMEOUT_MS);
}

for (const mode of ['sftp-server', 'router'] as const) {
  test(`a ${mode} that waits for the migration is alive and not ready, and then serves`, async (t) => {
    const database = await openTestDatabase({ empty: true });
    t.after(() => database.close());
    const [port, healthPort] = [await freePort(), await freePort()];
    const settings = testEndpoint({ port, storage: { kind: 'local', path: dir }, events: mode === 'router' ? EVENTS : null });
    writeFileSync(join(dir, 'endpoint.json'), JSON.stringify(settings));
    const skiff = new SkiffProcess({
      args: [mode],
      env: {
        SKIFF_DATABASE_URL: database.url.reveal(),
        SKIFF_ENDPOINT_FILE: join(dir, 'endpoint.json'),
        SKIFF_HOST_KEY_FILES: join(dir, 'host_key'),
        SKIFF_LISTEN_HOST: '127.0.0.1',
        SKIFF_HEALTH_PORT: String(healthPort),
        SKIFF_DRAIN_GRACE_SECONDS: '1',
      },
    });
    t.after(() => skiff.kill());
    await skiff.waitFor('waiting', (line) => line.msg.startsWith('waiting for the database'), TIMEOUT_MS);
    assert.deepEqual([await statusOf(healthPort, '/healthz'), await statusOf(healthPort, '/readyz')], [200, 503]);
    await migrate(database.database, { signal: FOREVER, logger: silentLogger });
    await becomes(healthPort, '/readyz', 200);
    assert.equal(await skiff.stop(), 0);
  });

  test(`a ${mode} that is told to stop while it waits for its database ends well`, async (t) => {
    const healthPort = await freePort();
    writeFileSync(join(dir, 'endpoint.json'), JSON.stringify(testEndpoint({ storage: { kind: 'local', path: dir }, events: EVENTS })));
    const skiff = new SkiffProcess({
      args: [mode],
      env: {
        SKIFF_DATABASE_URL: `mysql://nobody@127.0.0.1:${await freePort()}/skiff`,
        SKIFF_ENDPOINT_FILE: join(dir, 'endpoint.json'),
        SKIFF_HOST_KEY_FILES: join(dir, 'host_key'),
        SKIFF_HEALTH_PORT: String(healthPort),
      },
    });
    t.after(() => skiff.kill());
    await becomes(healthPort, '/healthz', 200);
    await skiff.waitFor('waiting', (line) => line.msg.startsWith('waiting for the database'), TIMEOUT_MS);
    assert.equal(await skiff.stop(), 0);
  });
}
