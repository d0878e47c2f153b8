import { randomUUID } from 'node:crypto';
import { errors, type JWTVerifyGetKey, jwtVerify, SignJWT } from 'jose';
import { keysAt } from '../json-web-keys.ts';
import { type Application, FEDERATION_AUDIENCE, type FederatedCredential, type TokenServiceConfig } from './config.ts';
import type { SigningKey } from './signing-key.ts';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export interface TokenResponse {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** `POST /{tenant}/oauth2/v2.0/token`: exchanges a federated token for an access token, or says why not with Entra's codes. */
export function createTokenEndpoint(config: TokenServiceConfig, key: SigningKey): (form: URLSearchParams) => Promise<TokenResponse> {
  const keys = new Map<FederatedCredential, JWTVerifyGetKey>();
  for (const application of config.applications) for (const trust of application.federated) keys.set(trust, keysAt(trust.keys));

  async function explainRefusal(assertion: string, trust: FederatedCredential): Promise<string | undefined> {
    try {
      const { payload } = await jwtVerify(assertion, keys.get(trust) ?? keysAt(trust.keys), {
        issuer: trust.issuer,
        audience: trust.audience ?? FEDERATION_AUDIENCE,
        algorithms: ['RS256'],
        requiredClaims: ['exp', 'sub'],
      });
      return trust.subjects.some((allowed) => subjectMatches(allowed, payload.sub ?? '')) ? undefined : `the subject ${payload.sub} is not federated`;
    } catch (error) {
      if (error instanceof errors.JOSEError) return error.message;
      return `the issuer's keys cannot be read: ${String(error)}`;
    }
  }

  async function authenticate(application: Application, assertion: string): Promise<TokenResponse | undefined> {
    const reasons: string[] = [];
    for (const trust of application.federated) {
      const reason = await explainRefusal(assertion, trust);
      if (reason === undefined) return undefined;
      reasons.push(reason);
    }
    return refuse(401, 'invalid_client', 700213, `No matching federated identity record found: ${reasons.join('; ')}`);
  }

  return async (form) => {
    const application = config.applications.find(({ clientId }) => clientId === form.get('client_id'));
    const audience = audienceOf(form.get('scope') ?? '');
    if (application === undefined) return refuse(400, 'unauthorized_client', 700016, `Application '${form.get('client_id')}' was not found`);
    if (form.get('grant_type') !== 'client_credentials') return refuse(400, 'unsupported_grant_type', 70003, 'the grant type is not supported');
    if (form.get('client_assertion_type') !== ASSERTION_TYPE) return refuse(400, 'invalid_request', 900144, 'client_assertion_type is missing or unknown');
    if (audience === undefined) return refuse(400, 'invalid_scope', 70011, 'the scope must name one resource and end in /.default');
    const refusal = await authenticate(application, form.get('client_assertion') ?? '');
    if (refusal !== undefined) return refusal;
    const lifetime = config.tokenLifetimeSeconds;
    const accessToken = await mintAccessToken({ config, key, application, audience });
    return { status: 200, body: { token_type: 'Bearer', expires_in: lifetime, ext_expires_in: lifetime, access_token: accessToken } };
  };
}

interface MintProps {
  readonly config: TokenServiceConfig;
  readonly key: SigningKey;
  readonly application: Application;
  readonly audience: string;
}

async function mintAccessToken({ config, key, application, audience }: MintProps): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const { clientId, objectId } = application;
  return (
    new SignJWT({ ver: '1.0', tid: config.tenantId, oid: objectId, appid: clientId, appidacr: '2', idtyp: 'app', uti: randomUUID() })
      .setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'JWT', x5t: key.kid })
      // Azurite insists on this issuer and on iat, nbf and exp (its BlobTokenAuthenticator).
      .setIssuer(`https://sts.windows.net/${config.tenantId}/`)
      .setAudience(audience)
      .setSubject(objectId)
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + config.tokenLifetimeSeconds)
      .sign(key.privateKey)
  );
}

function subjectMatches(allowed: string, subject: string): boolean {
  return allowed.endsWith('*') ? subject.startsWith(allowed.slice(0, -1)) : subject === allowed;
}

function audienceOf(scope: string): string | undefined {
  const resources = scope.split(' ').filter((part) => part.endsWith('/.default'));
  return resources.length === 1 ? resources[0]?.slice(0, -'/.default'.length).replace(/\/$/, '') : undefined;
}

function refuse(status: number, error: string, code: number, description: string): TokenResponse {
  const ids = { timestamp: new Date().toISOString(), trace_id: randomUUID(), correlation_id: randomUUID() };
  return { status, body: { error, error_description: `AADSTS${code}: ${description}`, error_codes: [code], ...ids } };
}
