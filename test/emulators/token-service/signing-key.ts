import { readFile, writeFile } from 'node:fs/promises';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, exportPKCS8, generateKeyPair, importPKCS8, type JWK } from 'jose';

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  /** The public half, as it goes into a JWKS. */
  readonly jwk: JWK;
}

/** An RS256 key pair, kept in `file` when one is given. */
export async function loadSigningKey(file?: string): Promise<SigningKey> {
  const stored = file === undefined ? undefined : await readFile(file, 'utf8').catch(() => undefined);
  const privateKey =
    stored === undefined ? (await generateKeyPair('RS256', { extractable: true })).privateKey : await importPKCS8(stored, 'RS256', { extractable: true });
  if (file !== undefined && stored === undefined) await writeFile(file, await exportPKCS8(privateKey), { mode: 0o600 });
  const { kty, n, e } = await exportJWK(privateKey);
  if (kty === undefined || n === undefined || e === undefined) throw new Error('not an RSA key');
  const kid = await calculateJwkThumbprint({ kty, n, e });
  return { kid, privateKey, jwk: { kty, n, e, kid, use: 'sig', alg: 'RS256' } };
}
