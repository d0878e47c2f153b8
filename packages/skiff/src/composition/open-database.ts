import { readFileSync } from 'node:fs';
import { type Database, openDatabase } from '@skiff/database/connect';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { Configuration } from '../configuration/configuration.ts';

/** The installation's database, as the configuration says. Connects on first use. */
export function openConfiguredDatabase(configuration: Configuration, logger: Logger, url: Secret<string>): Database {
  const { databaseCaFile, databasePoolSize } = configuration;
  return openDatabase({
    url,
    logger,
    poolSize: databasePoolSize,
    ...(databaseCaFile === undefined ? {} : { ssl: { ca: readFileSync(databaseCaFile, 'utf8') } }),
  });
}
