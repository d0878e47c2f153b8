import { readFile } from 'node:fs/promises';
import { get } from 'node:https';
import { text } from 'node:stream/consumers';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';

const REFRESH_MS = 60_000;
const REFRESH_AT_MOST_EVERY_MS = 1_000;
const FETCH_TIMEOUT_MS = 10_000;

const Jwks = Type.Object({ keys: Type.Array(Type.Object({ kty: Type.String() })) });

/** Where the public keys of an issuer are: given, in a file, or at a URL such as a cluster's `/openid/v1/jwks`. */
export const KeyLocation = Type.Union([
  Type.Object({ jwks: Type.Unsafe<JSONWebKeySet>(Jwks) }),
  Type.Object({ file: Type.String() }),
  Type.Object({ url: Type.String(), caFile: Type.Optional(Type.String()), bearerTokenFile: Type.Optional(Type.String()) }),
]);
export type KeyLocation = Static<typeof KeyLocation>;

/** Looks keys up by `kid`; files and URLs are read again when they are a minute old or do not know the `kid`. */
export function keysAt(location: KeyLocation): JWTVerifyGetKey {
  if ('jwks' in location) return createLocalJWKSet(location.jwks);
  let keys: JWTVerifyGetKey | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  const refresh = async (): Promise<JWTVerifyGetKey> => {
    const read: unknown = JSON.parse('file' in location ? await readFile(location.file, 'utf8') : await download(location));
    Value.Assert(Jwks, read);
    readAt = performance.now();
    keys = createLocalJWKSet(read);
    return keys;
  };
  return async (header, token) => {
    const known = keys === undefined || performance.now() - readAt > REFRESH_MS ? await refresh() : keys;
    try {
      return await known(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || performance.now() - readAt < REFRESH_AT_MOST_EVERY_MS) throw error;
      return (await refresh())(header, token);
    }
  };
}

async function download(location: { readonly url: string; readonly caFile?: string; readonly bearerTokenFile?: string }): Promise<string> {
  const ca = location.caFile === undefined ? undefined : await readFile(location.caFile);
  const token = location.bearerTokenFile === undefined ? undefined : (await readFile(location.bearerTokenFile, 'utf8')).trim();
  return new Promise((resolve, reject) => {
    const options = {
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(ca === undefined ? {} : { ca }),
    };
    const request = get(location.url, options, (response) => {
      if (response.statusCode === 200) text(response).then(resolve, reject);
      else {
        response.resume();
        reject(new Error(`${location.url} answered ${response.statusCode}`));
      }
    });
    request.on('error', reject);
  });
}
