import type { Database } from '@skiff/database/connect';
import { schemaVersion } from '@skiff/database/migrate';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { objectKey } from '@skiff/model/object-meta';
import { StoreError } from '@skiff/model/store-error';
import { silentLogger } from '@skiff/runtime/logger';
import { readSettings } from '../composition/mounted-endpoint.ts';
import { openConfiguredDatabase } from '../composition/open-database.ts';
import { ConfigurationError, type Environment } from '../configuration/environment.ts';
import type { ModeContext } from '../modes/mode.ts';

/** One endpoint's rows, for as long as a command runs. */
export interface CommandDatabase {
  readonly database: Database;
  readonly endpointId: number;
}

/** A condition that has to do with the surroundings, told without a stack. */
export class CommandError extends Error {
  readonly code = 'CommandFailed';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
  }
}

/**
 * Runs `work` on the rows of the endpoint that `--endpoint` names; by default that of the pod, or the only one there is. Its standard
 * output is the command's alone: nothing is logged.
 *
 * @throws {ConfigurationError | CommandError}
 */
export async function withEndpointRows<Result>(
  { configuration, environment }: Pick<ModeContext, 'configuration' | 'environment'>,
  endpoint: string | undefined,
  work: (rows: CommandDatabase) => Promise<Result>,
): Promise<Result> {
  const { databaseUrl } = configuration;
  if (databaseUrl === undefined) throw new ConfigurationError('SKIFF_DATABASE_URL is missing: mysql://user:password@host:3306/skiff');
  const database = openConfiguredDatabase(configuration, silentLogger, databaseUrl);
  try {
    const { fit, version } = await schemaVersion(database);
    if (fit === 'tooOld') throw new CommandError(`the schema is at version ${version}, older than this program: the operator has yet to migrate it`);
    if (fit === 'tooNew') throw new CommandError(`the schema is at version ${version}, made for a newer program: run the command of that version`);
    return await work({ database, endpointId: await endpointIdOf(database, endpoint ?? mountedEndpoint(environment)) });
  } catch (error) {
    if (error instanceof StoreError) throw new CommandError(`the database cannot be used (${error.code}): ${error.message}`, { cause: error });
    throw error;
  } finally {
    await database.close();
  }
}

function mountedEndpoint(environment: Environment): string | undefined {
  return environment.text('SKIFF_ENDPOINT_FILE') === undefined ? undefined : objectKey(readSettings(environment));
}

async function endpointIdOf(database: Database, wanted: string | undefined): Promise<number> {
  const endpoints = await createResourceRepository(database).endpoints();
  const keys = endpoints.map(objectKey);
  if (wanted === undefined && keys.length > 1) throw new ConfigurationError(`which endpoint? --endpoint ${keys.join(' | ')}`);
  const found = wanted === undefined ? endpoints[0] : endpoints.find((row) => objectKey(row) === wanted);
  if (found === undefined) throw new CommandError(`the database knows no endpoint ${wanted ?? 'yet'}${keys.length > 0 ? `, but ${keys.join(', ')}` : ''}`);
  return found.id;
}
