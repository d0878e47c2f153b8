import { createHmac, timingSafeEqual } from 'node:crypto';
import { type JWTVerifyGetKey, jwtVerify } from 'jose';
import { keysAt } from '../json-web-keys.ts';
import { unauthorized } from './amqp-error.ts';
import type { ServerConfig } from './server-config.ts';

/** What one connection has proved: entity paths and until when (milliseconds since 1970). `''` stands for all. */
export class Claims {
  readonly #until = new Map<string, number>();

  grant(path: string, until: number): void {
    this.#until.set(path.toLowerCase(), until);
  }

  allows(address: string, now = Date.now()): boolean {
    const wanted = address.toLowerCase();
    for (const [path, until] of this.#until) {
      if (until > now && (path === '' || wanted === path || wanted.startsWith(`${path}/`))) return true;
    }
    return false;
  }
}

/** Verifies tokens put to `$cbs` (AMQP claims-based security): shared access signatures and JWTs of the token service. */
export class TokenVerifier {
  readonly #config: Pick<ServerConfig, 'sharedAccessKeys' | 'tokens'>;
  readonly #keys: JWTVerifyGetKey;

  constructor(config: Pick<ServerConfig, 'sharedAccessKeys' | 'tokens'>) {
    this.#config = config;
    this.#keys = keysAt(config.tokens.keys);
  }

  /** Grants the audience's path on success. @throws {AmqpFault} `amqp:unauthorized-access` */
  async putToken(claims: Claims, type: string, audience: string, token: string): Promise<void> {
    const until = type === 'jwt' ? await this.#verifyJwt(token) : this.#verifySignature(audience, token);
    claims.grant(pathOf(audience), until);
  }

  isKey(name: string, key: string): boolean {
    return Object.hasOwn(this.#config.sharedAccessKeys, name) && this.#config.sharedAccessKeys[name] === key;
  }

  async #verifyJwt(token: string): Promise<number> {
    const { audiences, issuerPrefix, objectIds } = this.#config.tokens;
    const { payload } = await jwtVerify(token, this.#keys, { audience: audiences, requiredClaims: ['exp', 'iss', 'oid'] }).catch((error: unknown) => {
      throw unauthorized(`InvalidToken: ${error instanceof Error ? error.message : String(error)}`);
    });
    if (payload.iss?.startsWith(issuerPrefix) !== true) throw unauthorized(`InvalidIssuer: '${payload.iss}'.`);
    if (!objectIds.some((id) => id === payload.oid)) throw unauthorized(`The principal '${String(payload.oid)}' has no role on this namespace.`);
    return (payload.exp ?? 0) * 1_000;
  }

  /** `SharedAccessSignature sr=…&sig=…&se=…&skn=…` (learn.microsoft.com/azure/service-bus-messaging/service-bus-sas). */
  #verifySignature(audience: string, token: string): number {
    const fields = new Map(
      token
        .replace(/^SharedAccessSignature /, '')
        .split('&')
        .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const),
    );
    const field = (name: string): string => fields.get(name) ?? '';
    const key = Object.hasOwn(this.#config.sharedAccessKeys, field('skn')) ? this.#config.sharedAccessKeys[field('skn')] : undefined;
    if (key === undefined) throw unauthorized('InvalidSignature: The token has an invalid signature.');
    const expected = createHmac('sha256', key)
      .update(`${field('sr')}\n${field('se')}`)
      .digest();
    const given = Buffer.from(decodeURIComponent(field('sig')), 'base64');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw unauthorized('InvalidSignature: The token has an invalid signature.');
    const until = Number(field('se')) * 1_000;
    if (!(until > Date.now())) throw unauthorized('ExpiredToken: The token is expired.');
    const resource = decodeURIComponent(field('sr')).toLowerCase().replace(/\/$/, '');
    if (!audience.toLowerCase().startsWith(resource)) throw unauthorized(`InvalidAudience: The token is for '${resource}'.`);
    return until;
  }
}

/** `sb://host/queue/` → `queue` */
function pathOf(audience: string): string {
  return new URL(audience.replace(/^\w+:/, 'http:')).pathname.replace(/^\/|\/$/g, '');
}
