import Type, { type Static } from 'typebox';
import { KeyLocation } from '../json-web-keys.ts';

/** Audience that Entra ID wants in the token of a federated service account. */
export const FEDERATION_AUDIENCE = 'api://AzureADTokenExchange';

/** A trust between an application and service accounts of one issuer ("federated identity credential"). */
export const FederatedCredential = Type.Object({
  issuer: Type.String(),
  /** `system:serviceaccount:<namespace>:<name>`; a trailing `*` allows every account with the prefix. */
  subjects: Type.Array(Type.String(), { minItems: 1 }),
  audience: Type.Optional(Type.String()),
  keys: KeyLocation,
});
export type FederatedCredential = Static<typeof FederatedCredential>;

export const Application = Type.Object({ clientId: Type.String(), objectId: Type.String(), federated: Type.Array(FederatedCredential) });
export type Application = Static<typeof Application>;

export const TokenServiceConfig = Type.Object({
  host: Type.String(),
  /** 0: any free port. */
  port: Type.Integer(),
  /** Address that clients use, when it is not `https://localhost:<port>`: inside a cluster, its Service. */
  publicUrl: Type.Optional(Type.String()),
  keyFile: Type.String(),
  certFile: Type.String(),
  /** Holds the key that signs tokens, so that they stay valid over a restart; made when absent. */
  signingKeyFile: Type.String(),
  tenantId: Type.String(),
  tokenLifetimeSeconds: Type.Integer({ minimum: 1 }),
  applications: Type.Array(Application),
});
export type TokenServiceConfig = Static<typeof TokenServiceConfig>;
