import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import type { TokenServiceConfig } from './config.ts';
import { loadSigningKey } from './signing-key.ts';
import { createTokenEndpoint, type TokenResponse } from './token-endpoint.ts';

const MAX_FORM_BYTES = 64 * 1024;

export interface TokenService {
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** A stand-in for Microsoft Entra ID that serves what workload identity needs: discovery, keys and the token endpoint. */
export async function startTokenService(config: TokenServiceConfig): Promise<TokenService> {
  const key = await loadSigningKey(config.signingKeyFile);
  const exchange = createTokenEndpoint(config, key);
  const [tlsKey, cert] = await Promise.all([readFile(config.keyFile), readFile(config.certFile)]);
  let url = config.publicUrl ?? '';

  async function answer(request: IncomingMessage): Promise<TokenResponse> {
    const { pathname } = new URL(request.url ?? '/', 'https://localhost');
    const tenant = pathname.split('/')[1] ?? '';
    if (request.method === 'GET' && pathname.endsWith('/.well-known/openid-configuration')) return { status: 200, body: discovery(url, tenant) };
    if (request.method === 'GET' && pathname.endsWith('/discovery/v2.0/keys')) return { status: 200, body: { keys: [key.jwk] } };
    if (request.method === 'GET' && pathname === '/common/discovery/instance') return { status: 200, body: instanceDiscovery(url, config.tenantId) };
    if (request.method === 'POST' && pathname === `/${config.tenantId}/oauth2/v2.0/token`) return exchange(new URLSearchParams(await readForm(request)));
    request.resume();
    return { status: 404, body: { error: 'not_found' } };
  }

  const server = createServer({ key: tlsKey, cert }, (request, response) => {
    answer(request).then(
      ({ status, body }) => reply(response, status, body),
      (error: unknown) => reply(response, 500, { error: 'server_error', error_description: String(error) }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : config.port;
  url = config.publicUrl ?? `https://localhost:${port}`;
  return {
    url,
    port,
    stop: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function readForm(request: IncomingMessage): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_FORM_BYTES) throw new Error('the form is too large');
  return text(request);
}

function reply(response: ServerResponse, status: number, body: Readonly<Record<string, unknown>>): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function discovery(url: string, tenant: string): Readonly<Record<string, unknown>> {
  return {
    issuer: `${url}/${tenant}/v2.0`,
    token_endpoint: `${url}/${tenant}/oauth2/v2.0/token`,
    jwks_uri: `${url}/${tenant}/discovery/v2.0/keys`,
    authorization_endpoint: `${url}/${tenant}/oauth2/v2.0/authorize`,
    response_types_supported: ['code', 'id_token'],
    subject_types_supported: ['pairwise'],
    id_token_signing_alg_values_supported: ['RS256'],
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
  };
}

function instanceDiscovery(url: string, tenant: string): Readonly<Record<string, unknown>> {
  const { host } = new URL(url);
  const metadata = [{ preferred_network: host, preferred_cache: host, aliases: [host] }];
  return { tenant_discovery_endpoint: `${url}/${tenant}/v2.0/.well-known/openid-configuration`, 'api-version': '1.1', metadata };
}
