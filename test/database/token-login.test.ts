import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { type PrivateMariadb, startPrivateMariadb } from '@skiff/database/private-mariadb';
import { silentLogger } from '@skiff/runtime/logger';
import { type Certificates, makeCertificates } from '../emulators/certificates.ts';
import { type Ran, runSkiff } from '../support/run-skiff.ts';

const TENANT_ID = '11111111-1111-1111-1111-111111111111';
const CLIENT_ID = '22222222-2222-2222-2222-222222222222';

let dir: string;
let certificates: Certificates;
let mariadb: PrivateMariadb;
let tokenService: Server;
const exchanges: URLSearchParams[] = [];

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-token-login-'));
  certificates = await makeCertificates(join(dir, 'certificates'));
  await writeFile(join(dir, 'federated-token'), 'what the kubelet wrote');
  mariadb = await startPrivateMariadb({
    dataDir: join(dir, 'data'),
    logger: silentLogger,
    signal: AbortSignal.timeout(90_000),
    ephemeral: true,
    options: [`--ssl-cert=${certificates.certFile}`, `--ssl-key=${certificates.keyFile}`, '--require-secure-transport=ON'],
  });
  tokenService = createServer({ key: certificates.key, cert: certificates.cert }, (request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  await new Promise<void>((resolve) => tokenService.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  tokenService.closeAllConnections();
  tokenService.close();
  await mariadb.stop();
  await rm(dir, { recursive: true, force: true });
});

/** A token service whose access token is the password of the database's user: MariaDB knows no Entra. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = authorityHost();
  const ofTenant = `${url}/${TENANT_ID}`;
  const discovery = {
    issuer: `${ofTenant}/v2.0`,
    token_endpoint: `${ofTenant}/oauth2/v2.0/token`,
    authorization_endpoint: `${ofTenant}/authorize`,
    jwks_uri: url,
  };
  if (request.method === 'POST') exchanges.push(new URLSearchParams(await text(request)));
  const token = { token_type: 'Bearer', expires_in: 3599, access_token: new URL(mariadb.tcpUrl.reveal()).password };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(request.method === 'POST' ? token : discovery));
}

function authorityHost(): string {
  const address = tokenService.address();
  return `https://localhost:${typeof address === 'object' && address !== null ? address.port : 0}`;
}

/** Runs a command that needs the database, as in a pod of AKS: a URL without a password, and a federated token. */
function listDeliveries(parameters: string): Promise<Ran> {
  const url = new URL(mariadb.tcpUrl.reveal());
  url.hostname = 'localhost';
  url.password = '';
  url.search = parameters;
  return runSkiff(['deliveries', 'list'], {
    SKIFF_DATABASE_URL: url.href,
    AZURE_CLIENT_ID: CLIENT_ID,
    AZURE_TENANT_ID: TENANT_ID,
    AZURE_AUTHORITY_HOST: authorityHost(),
    AZURE_FEDERATED_TOKEN_FILE: join(dir, 'federated-token'),
    NODE_EXTRA_CA_CERTS: certificates.caFile,
  });
}

describe('a database URL without a password', () => {
  it('logs in by a token of workload identity where it asks for TLS', async () => {
    const { stderr } = await listDeliveries('?ssl-mode=VERIFY_IDENTITY');
    assert.match(stderr, /the schema is at version 0/, 'logged in, and found nothing that was migrated');
    const [exchange] = exchanges;
    assert.equal(exchange?.get('client_id'), CLIENT_ID);
    assert.equal(exchange?.get('client_assertion'), 'what the kubelet wrote');
    assert.match(exchange?.get('scope') ?? '', /^https:\/\/ossrdbms-aad\.database\.windows\.net\/\.default/);
  });

  it('sends no token where it does not', async () => {
    const before = exchanges.length;
    const { stderr } = await listDeliveries('');
    assert.match(stderr, /the database cannot be used \(denied\)/);
    assert.equal(exchanges.length, before);
  });
});
