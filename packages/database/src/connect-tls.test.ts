import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { sql } from 'kysely';
import { openDatabase } from './connect.ts';
import { type PrivateMariadb, startPrivateMariadb } from './private-mariadb.ts';

let directory: string;
let mariadb: PrivateMariadb;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'skiff-db-tls-'));
  const [key, cert] = makeCertificate('localhost');
  mariadb = await startPrivateMariadb({
    dataDir: join(directory, 'data'),
    logger: silentLogger,
    signal: AbortSignal.timeout(90_000),
    ephemeral: true,
    options: [`--ssl-cert=${cert}`, `--ssl-key=${key}`, '--require-secure-transport=ON'],
  });
});
after(async () => {
  await mariadb.stop();
  rmSync(directory, { recursive: true, force: true });
});

function makeCertificate(name: string): readonly [string, string] {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject],
    {
      stdio: 'ignore',
      timeout: 30_000,
    },
  );
  return [key, cert];
}

function urlOf(host: string): Secret<string> {
  const url = new URL(mariadb.tcpUrl.reveal());
  url.hostname = host;
  return new Secret(url.href);
}

describe('database over TLS', () => {
  it('is encrypted and checks the certificate, with a token as password', async () => {
    const password = new URL(mariadb.tcpUrl.reveal()).password;
    const ca = readFileSync(join(directory, 'cert.pem'), 'utf8');
    const database = openDatabase({ url: urlOf('localhost'), logger: silentLogger, poolSize: 1, ssl: { ca }, passwordProvider: async () => password });
    const { rows } = await sql<{ Value: string }>`SHOW STATUS LIKE 'Ssl_version'`.execute(database.queries);
    assert.match(rows[0]?.Value ?? '', /^TLSv1\.[23]$/);
    await database.close();
  });

  it('is refused without TLS where the server demands it', async () => {
    const database = openDatabase({ url: urlOf('127.0.0.1'), logger: silentLogger, poolSize: 1 });
    await assert.rejects(database.ping(AbortSignal.timeout(10_000)), { code: 'denied' });
    await database.close();
  });

  it('is refused when the certificate is not trusted', async () => {
    const database = openDatabase({ url: urlOf('localhost'), logger: silentLogger, poolSize: 1, ssl: {} });
    await assert.rejects(database.ping(AbortSignal.timeout(10_000)), { vendorCode: 'HANDSHAKE_SSL_ERROR' });
    await database.close();
  });

  it('is refused when the certificate is for another name, and for a bare address', async () => {
    makeCertificate('other.example');
    const local = openDatabase({ url: mariadb.url, logger: silentLogger, poolSize: 1 });
    await sql`FLUSH SSL`.execute(local.queries);
    await local.close();
    const ca = readFileSync(join(directory, 'cert.pem'), 'utf8');
    const database = openDatabase({ url: urlOf('localhost'), logger: silentLogger, poolSize: 1, ssl: { ca } });
    await assert.rejects(database.ping(AbortSignal.timeout(10_000)), { vendorCode: 'HANDSHAKE_SSL_ERROR' });
    await database.close();
    assert.throws(() => openDatabase({ url: urlOf('127.0.0.1'), logger: silentLogger, poolSize: 1, ssl: { ca } }), { vendorCode: 'TLS_NEEDS_NAME' });
  });
});
