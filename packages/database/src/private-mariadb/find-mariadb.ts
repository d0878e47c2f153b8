import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { errorCodeOf } from '@skiff/model/error-code';
import { StoreError } from '@skiff/model/store-error';

const run = promisify(execFile);

/** A bare name is looked up on the PATH; Debian puts servers where the PATH of an ordinary user does not lead. */
const SERVERS = [
  'mariadbd',
  '/usr/sbin/mariadbd',
  '/usr/local/sbin/mariadbd',
  '/usr/libexec/mariadbd',
  '/usr/local/bin/mariadbd',
  '/opt/homebrew/bin/mariadbd',
  'mysqld',
  '/usr/sbin/mysqld',
];
const INSTALLERS = ['mariadb-install-db', '/usr/bin/mariadb-install-db', '/usr/local/bin/mariadb-install-db', '/opt/homebrew/bin/mariadb-install-db'];

export interface MariadbPrograms {
  readonly server: string;
  readonly install: string;
  /** Such as `10.11.6-MariaDB`. */
  readonly version: string;
}

interface Places {
  readonly servers: readonly string[];
  readonly installers: readonly string[];
}

/** @throws {StoreError} `unsupported` with vendor code `notInstalled`, and what to install. */
export async function findMariadb(signal: AbortSignal, places: Places = { servers: SERVERS, installers: INSTALLERS }): Promise<MariadbPrograms> {
  for (const server of places.servers) {
    const version = /Ver (\S*MariaDB\S*)/.exec((await output(server, '--version', signal)) ?? '')?.[1];
    if (version === undefined) continue;
    for (const install of places.installers) {
      if ((await output(install, '--help', signal)) !== undefined) return { server, install, version };
    }
  }
  throw new StoreError({
    code: 'unsupported',
    vendorCode: 'notInstalled',
    message:
      'no MariaDB is installed here. Install it (Debian and Ubuntu: apt-get install mariadb-server-core mariadb-client-core), or set SKIFF_DATABASE_URL to a MySQL or MariaDB server',
  });
}

/** What the program prints, or undefined when there is no such program. */
async function output(program: string, argument: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await run(program, [argument], { signal, timeout: 10_000 })).stdout;
  } catch (error) {
    signal.throwIfAborted();
    const code = errorCodeOf(error);
    // Some versions of the installer print their help and exit with 1.
    return code === 'ENOENT' || code === 'EACCES' ? undefined : '';
  }
}
