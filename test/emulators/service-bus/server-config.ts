import Type, { type Static } from 'typebox';
import { KeyLocation } from '../json-web-keys.ts';
import { EmulatorConfigFile } from './entity-config.ts';

export const ServerConfig = Type.Object({
  host: Type.String(),
  /** Plain AMQP (`UseDevelopmentEmulator=true` goes here); 0: any free port. */
  port: Type.Integer(),
  /** AMQP over TLS, what token credentials need; 0: any free port. */
  tlsPort: Type.Integer(),
  keyFile: Type.String(),
  certFile: Type.String(),
  dataDir: Type.String(),
  /** Off: the log is written but not synced. A killed process loses nothing, a crashed machine may. */
  fsync: Type.Boolean(),
  maxMessageBytes: Type.Integer({ minimum: 1_024 }),
  /** Bodies that one queue keeps; above it a send fails as over the quota. */
  maxQueueBytes: Type.Integer({ minimum: 1_024 }),
  entities: EmulatorConfigFile,
  sharedAccessKeys: Type.Record(Type.String(), Type.String()),
  tokens: Type.Object({
    issuerPrefix: Type.String(),
    audiences: Type.Array(Type.String()),
    keys: KeyLocation,
    /** Principals with a role on the namespace. */
    objectIds: Type.Array(Type.String()),
  }),
});
export type ServerConfig = Static<typeof ServerConfig>;
