import { rename, writeFile } from 'node:fs/promises';
import { type JSONWebKeySet, SignJWT } from 'jose';
import { FEDERATION_AUDIENCE } from './config.ts';
import { loadSigningKey } from './signing-key.ts';

export interface FederatedTokenProps {
  readonly subject: string;
  /** Default `api://AzureADTokenExchange`. */
  readonly audience?: string;
  /** Default 24 hours. */
  readonly lifetimeSeconds?: number;
}

/** Stands in for a cluster's issuer of service account tokens where there is no cluster. */
export interface FederatedTokenIssuer {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  issue(props: FederatedTokenProps): Promise<string>;
  /** Puts the token in place by a rename, as kubelet does with a projected token. */
  write(file: string, props: FederatedTokenProps): Promise<void>;
}

export async function createFederatedTokenIssuer(issuer = 'https://kubernetes.default.svc.cluster.local'): Promise<FederatedTokenIssuer> {
  const key = await loadSigningKey();
  const issue = async ({ subject, audience = FEDERATION_AUDIENCE, lifetimeSeconds = 86_400 }: FederatedTokenProps): Promise<string> => {
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({})
      .setProtectedHeader({ alg: 'RS256', kid: key.kid })
      .setIssuer(issuer)
      .setSubject(subject)
      .setAudience(audience)
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + lifetimeSeconds)
      .sign(key.privateKey);
  };
  return {
    issuer,
    jwks: { keys: [key.jwk] },
    issue,
    write: async (file, props) => {
      await writeFile(`${file}.new`, await issue(props), { mode: 0o600 });
      await rename(`${file}.new`, file);
    },
  };
}
