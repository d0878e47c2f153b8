import { readFileSync } from 'node:fs';
import { type Database, openDatabase } from '@skiff/database/connect';
import { StoreError } from '@skiff/model/store-error';
import { createAzureCredential } from '@skiff/runtime/azure-credential';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { Configuration } from '../configuration/configuration.ts';

/** What Azure Database for MySQL takes as a password from an Entra identity. */
const ENTRA_SCOPE = 'https://ossrdbms-aad.database.windows.net/.default';

/**
 * The installation's database, as the configuration says. Connects on first use. A TLS connection whose URL has no password logs in
 * by a token of the process's own identity; a token is asked for with each new connection. TLS is on where the URL asks for it
 * (`?ssl-mode=VERIFY_IDENTITY`) or authorities are given.
 */
export function openConfiguredDatabase(configuration: Configuration, logger: Logger, url: Secret<string>, abandonedAfterMs?: number): Database {
  const { databaseCaFile, databasePoolSize } = configuration;
  // A URL that cannot be read is refused by the database package, with a text that says how it should look.
  const parsed = URL.parse(url.reveal());
  const tls = databaseCaFile !== undefined || parsed?.searchParams.has('ssl-mode') === true;
  const keyless = tls && (parsed?.password ?? '') === '';
  return openDatabase({
    url,
    logger,
    poolSize: databasePoolSize,
    ...(abandonedAfterMs === undefined ? {} : { abandonedAfterMs }),
    ...(databaseCaFile === undefined ? {} : { ssl: { ca: readFileSync(databaseCaFile, 'utf8') } }),
    ...(keyless ? { passwordProvider: entraToken(configuration, logger) } : {}),
  });
}

function entraToken(configuration: Configuration, logger: Logger): () => Promise<string> {
  const credential = createAzureCredential({ authorityHost: configuration.azureAuthorityHost, logger });
  return async () => {
    const token = await credential.getToken(ENTRA_SCOPE);
    if (token === null) throw new StoreError({ code: 'denied', message: 'no token for the database: is workload identity set up for this pod?' });
    return token.token;
  };
}
