import { StoreError } from '@skiff/model/store-error';
import { Secret } from '@skiff/runtime/secret';

export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  /** Unix socket, from `?socketPath=`; host and port are then not used. */
  readonly socketPath: string | undefined;
  readonly user: string;
  readonly password: Secret<string>;
  readonly schema: string;
  /** TLS with a verified certificate, from `?ssl-mode=VERIFY_IDENTITY`, as MySQL's own connection strings have it. */
  readonly tls: boolean;
}

/**
 * Reads `mysql://user:password@host:3306/schema`. User, password and schema are percent-decoded.
 * @throws {StoreError} `invalid`, without the URL in its message.
 */
export function parseDatabaseUrl(url: Secret<string>): DatabaseAddress {
  const parsed = URL.parse(url.reveal());
  if (parsed === null) throw invalid('is not a URL');
  if (parsed.protocol !== 'mysql:' && parsed.protocol !== 'mariadb:') throw invalid('must start with mysql://');
  const schema = decode(parsed.pathname.slice(1));
  if (!/^[A-Za-z0-9_$-]{1,64}$/.test(schema)) throw invalid('must name a schema after the host, such as /skiff');
  if (parsed.username === '') throw invalid('must name a user');
  const socketPath = parsed.searchParams.get('socketPath') ?? undefined;
  const sslMode = parsed.searchParams.get('ssl-mode');
  if (sslMode !== null && sslMode !== 'VERIFY_IDENTITY') throw invalid('can have ssl-mode=VERIFY_IDENTITY only');
  for (const name of parsed.searchParams.keys())
    if (name !== 'socketPath' && name !== 'ssl-mode') throw invalid('has a parameter other than socketPath and ssl-mode');
  if (parsed.hostname === '' && socketPath === undefined) throw invalid('must name a host');
  return {
    host: decode(parsed.hostname).replace(/^\[(.*)\]$/, '$1'),
    port: parsed.port === '' ? 3306 : Number(parsed.port),
    socketPath,
    user: decode(parsed.username),
    password: new Secret(decode(parsed.password)),
    schema,
    tls: sslMode !== null,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('is not percent-encoded correctly');
  }
}

function invalid(problem: string): StoreError {
  return new StoreError({
    code: 'invalid',
    vendorCode: 'INVALID_URL',
    message: `the database URL ${problem}; its form is mysql://user:password@host:3306/schema`,
  });
}
