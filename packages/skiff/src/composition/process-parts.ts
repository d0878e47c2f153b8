import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { verifyPassword } from '@skiff/credentials/password-hash';
import { createCachedVerifier, type VerifyPassword } from '@skiff/credentials/verification-cache';
import type { Database } from '@skiff/database/connect';
import { createInstanceRegistry } from '@skiff/database/mysql-instance-registry';
import type { InstanceRegistry } from '@skiff/database/operation-log';
import type { InstanceId } from '@skiff/model/upload-state';
import { createAzureCredential, type TokenCredential } from '@skiff/runtime/azure-credential';
import { type Clock, systemClock } from '@skiff/runtime/clock';
import { type Failpoints, parseFailpoints } from '@skiff/runtime/failpoint';
import type { Logger } from '@skiff/runtime/logger';
import { createMetrics, type Metrics } from '@skiff/runtime/metrics';
import type { Secret } from '@skiff/runtime/secret';
import { ByteBudget } from '@skiff/sftp-server/byte-budget';
import { keepLease, type LiveLease } from '@skiff/sftp-server/lease';
import type { Configuration } from '../configuration/configuration.ts';
import { openConfiguredDatabase } from './open-database.ts';
import { createProcessCounters, type ProcessCounters } from './process-counters.ts';

/** What a process has once, whatever runs in it. */
export interface ProcessParts {
  readonly configuration: Configuration;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly failpoints: Failpoints;
  readonly database: Database;
  readonly registry: InstanceRegistry;
  readonly budget: ByteBudget;
  readonly azure: TokenCredential;
  readonly verifyPassword: VerifyPassword;
  readonly metrics: Metrics;
  readonly counters: ProcessCounters;
}

export function createProcessParts(configuration: Configuration, logger: Logger, databaseUrl: Secret<string>): ProcessParts {
  const database = openConfiguredDatabase(configuration, logger, databaseUrl);
  const metrics = createMetrics({ defaults: true });
  return {
    configuration,
    logger,
    clock: systemClock,
    failpoints: parseFailpoints(configuration.failpoints),
    database,
    registry: createInstanceRegistry(database),
    budget: new ByteBudget(configuration.transferMemoryBytes),
    azure: createAzureCredential({ authorityHost: configuration.azureAuthorityHost, logger }),
    verifyPassword: createCachedVerifier({ verify: verifyPassword, clock: systemClock }),
    metrics,
    counters: createProcessCounters(metrics),
  };
}

/** Names this process among all that share the database. */
function newInstanceId(): InstanceId {
  return `${hostname().slice(0, 40)}-${randomBytes(6).toString('hex')}` as InstanceId;
}

/** Takes the process's lease and keeps it alive. */
export function keepProcessLease({ registry, clock, logger }: ProcessParts, mode: string): Promise<LiveLease> {
  return keepLease({ instance: newInstanceId(), mode, registry, clock, logger });
}
