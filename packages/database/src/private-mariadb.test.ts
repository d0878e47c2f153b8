import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '@skiff/runtime/logger';
import { sql } from 'kysely';
import { openDatabase } from './connect.ts';
import { findMariadb } from './private-mariadb/find-mariadb.ts';
import { startPrivateMariadb } from './private-mariadb.ts';

const signal = AbortSignal.timeout(120_000);

async function temporaryDir(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'skiff-private-db-')), 'data');
}

async function gone(check: () => boolean, withinMs: number): Promise<boolean> {
  for (const end = performance.now() + withinMs; performance.now() < end; await sleep(50)) if (!check()) return true;
  return false;
}

describe('private MariaDB', () => {
  it('keeps what was written over a clean stop, with a new password each time', async () => {
    const dataDir = await temporaryDir();
    try {
      const first = await startPrivateMariadb({ dataDir, logger: silentLogger, signal });
      const database = openDatabase({ url: first.url, logger: silentLogger, poolSize: 1 });
      await sql`CREATE TABLE kept (id INT)`.execute(database.queries);
      await database.close();
      const startedAt = performance.now();
      await first.stop();
      assert.ok(performance.now() - startedAt < 10_000);
      const second = await startPrivateMariadb({ dataDir, logger: silentLogger, signal });
      assert.notEqual(new URL(first.url.reveal()).password, new URL(second.url.reveal()).password);
      const again = openDatabase({ url: second.tcpUrl, logger: silentLogger, poolSize: 1 });
      await sql`SELECT * FROM kept`.execute(again.queries);
      await again.close();
      await second.stop();
    } finally {
      await rm(join(dataDir, '..'), { recursive: true, force: true });
    }
  });

  it('leaves the temporary tables of other servers of the machine alone, as it is prepared and as it starts', async () => {
    const dataDir = await temporaryDir();
    const theirs = join(tmpdir(), `#sql-temptable-${process.pid}-1-0.MAD`);
    await writeFile(theirs, '');
    try {
      const mariadb = await startPrivateMariadb({ dataDir, logger: silentLogger, signal });
      await mariadb.stop();
      assert.ok(existsSync(theirs));
    } finally {
      await rm(theirs, { force: true });
      await rm(join(dataDir, '..'), { recursive: true, force: true });
    }
  });

  it('ends, and cleans up, when the process that started it is killed', async () => {
    const dataDir = await temporaryDir();
    const program = `
      import { startPrivateMariadb } from ${JSON.stringify(join(import.meta.dirname, 'private-mariadb.ts'))};
      import { silentLogger } from '@skiff/runtime/logger';
      const mariadb = await startPrivateMariadb({ dataDir: ${JSON.stringify(dataDir)}, logger: silentLogger, signal: AbortSignal.timeout(60000), ephemeral: true });
      process.stdout.write(new URL(mariadb.url.reveal()).searchParams.get('socketPath') + '\\n');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const socketPath = await firstLine(child);
      assert.ok(existsSync(socketPath));
      child.kill('SIGKILL');
      assert.ok(await gone(() => existsSync(socketPath) || existsSync(dataDir), 15_000), 'the server is still there');
    } finally {
      child.kill('SIGKILL');
      await rm(join(dataDir, '..'), { recursive: true, force: true });
    }
  });

  it('says why it did not start', async () => {
    const dataDir = await temporaryDir();
    const running = await startPrivateMariadb({ dataDir, logger: silentLogger, signal, ephemeral: true });
    try {
      // The data directory is in use: the second server waits for its lock, and is told to give up.
      await assert.rejects(startPrivateMariadb({ dataDir, logger: silentLogger, signal: AbortSignal.timeout(1_500) }));
    } finally {
      await running.stop();
      await rm(join(dataDir, '..'), { recursive: true, force: true });
    }
  });

  it('names the packages to install where there is none', async () => {
    await assert.rejects(findMariadb(signal, { servers: ['/nowhere/mariadbd'], installers: ['/nowhere/mariadb-install-db'] }), (error) => {
      assert.ok(error instanceof Error && 'vendorCode' in error);
      assert.equal(error.vendorCode, 'notInstalled');
      assert.match(error.message, /apt-get install .*SKIFF_DATABASE_URL/);
      return true;
    });
  });
});

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
    child.stdout?.on('error', reject);
    child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
  });
}
