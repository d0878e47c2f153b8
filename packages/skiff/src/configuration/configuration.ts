import type { LogLevel } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { Environment } from './environment.ts';

/** Settings that every mode reads. Each has one name in the environment; `docs/reference/configuration.md` lists them. */
export interface Configuration {
  readonly logLevel: LogLevel;
  readonly failpoints: string | undefined;
  /** Absent in standalone: a private MariaDB. */
  readonly databaseUrl: Secret<string> | undefined;
  readonly databasePoolSize: number;
  /** PEM file of the authorities of the database's certificate; TLS is on when it is set. */
  readonly databaseCaFile: string | undefined;
  /** Bytes that all transfers of the process may hold in memory. */
  readonly transferMemoryBytes: number;
  /** Port of health and metrics; absent: none. */
  readonly healthPort: number | undefined;
  /** How long transfers may go on after the order to stop, in milliseconds. */
  readonly drainGraceMs: number;
  /** Address that SFTP servers listen on; absent: every one. */
  readonly listenHost: string | undefined;
  /** Token service of workload identity, where it is not that of the public cloud. */
  readonly azureAuthorityHost: string | undefined;
  /** For stores without workload identity: the account's shared key. */
  readonly storageKey: Secret<string> | undefined;
  /** CIDR ranges that HTTP targets may lie in although they are private or loopback. */
  readonly allowedTargetRanges: readonly string[];
}

const MIB = 1024 * 1024;

/** @throws {ConfigurationError} that names the first wrong setting. */
export function readConfiguration(environment: Environment): Configuration {
  const port = environment.integer('SKIFF_HEALTH_PORT', 0, { min: 0, max: 65_535 });
  return {
    logLevel: environment.oneOf('SKIFF_LOG_LEVEL', ['debug', 'info', 'warn', 'error', 'silent'], 'info'),
    failpoints: environment.text('SKIFF_FAILPOINTS'),
    databaseUrl: environment.secret('SKIFF_DATABASE_URL'),
    databasePoolSize: environment.integer('SKIFF_DATABASE_POOL_SIZE', 8, { min: 2, max: 100 }),
    databaseCaFile: environment.text('SKIFF_DATABASE_CA_FILE'),
    transferMemoryBytes: environment.integer('SKIFF_TRANSFER_MEMORY_MIB', 96, { min: 16, max: 65_536 }) * MIB,
    healthPort: port === 0 ? undefined : port,
    drainGraceMs: environment.integer('SKIFF_DRAIN_GRACE_SECONDS', 30, { min: 0, max: 86_400 }) * 1000,
    listenHost: environment.text('SKIFF_LISTEN_HOST'),
    azureAuthorityHost: environment.text('AZURE_AUTHORITY_HOST'),
    storageKey: environment.secret('AZURE_STORAGE_KEY'),
    allowedTargetRanges: environment.list('SKIFF_ALLOWED_TARGET_RANGES'),
  };
}
