import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from '@skiff/model/store-error';
import type { Logger } from '@skiff/runtime/logger';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import { openDatabase } from './connect.ts';
import { findMariadb, type MariadbPrograms } from './private-mariadb/find-mariadb.ts';
import { causeOfFailure } from './private-mariadb/install-output.ts';
import { SERVER_SETTINGS, SUPERVISOR_SCRIPT } from './private-mariadb/server-settings.ts';

const READY_TIMEOUT_MS = 30_000;
const PROGRESS_EVERY_MS = 5_000;
const STOP_TIMEOUT_MS = 15_000;
const INSTALL_TIMEOUT_MS = 60_000;
const SCHEMA = 'skiff';
/** The free port that was found may be taken until the server listens on it. */
const MAX_ATTEMPTS = 3;
const PORT_TAKEN = 'Address already in use';

export interface PrivateMariadbProps {
  /** Kept between starts; made when it is not there. */
  readonly dataDir: string;
  readonly logger: Logger;
  /** Ends the start, not the server. */
  readonly signal: AbortSignal;
  /** Deletes `dataDir` once the server has ended, even when this process was killed. For tests. */
  readonly ephemeral?: boolean;
  /** Further server options, such as `--ssl-cert=…`. */
  readonly options?: readonly string[];
}

export interface PrivateMariadb {
  /** Over the Unix socket, to an empty or kept schema. */
  readonly url: Secret<string>;
  /** The same over TCP on loopback. */
  readonly tcpUrl: Secret<string>;
  readonly version: string;
  /** Clean shutdown; resolves when the server has ended. */
  stop(): Promise<void>;
  /** Settles when the server ends by itself, with the last lines it wrote. */
  readonly ended: Promise<string>;
}

/**
 * Runs a MariaDB of this machine for this process alone: its own data directory, a Unix socket, a random port on loopback, a
 * password made anew at each start. It runs under a small shell that holds the other end of a pipe to us: when we end in
 * whatever way, SIGKILL included, the pipe closes and the shell shuts the server down.
 *
 * @throws {StoreError} `unsupported` (`notInstalled`) when there is no MariaDB; `unavailable` when it does not start.
 */
export async function startPrivateMariadb(props: PrivateMariadbProps): Promise<PrivateMariadb> {
  const { dataDir, logger, signal } = props;
  const programs = await findMariadb(signal);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  if (!existsSync(join(dataDir, 'mysql'))) {
    logger.info({ dataDir, version: programs.version }, 'preparing a private database');
    await install(programs, dataDir, signal);
  }
  for (let attempt = 1; ; attempt++) {
    // Not in the data directory: a socket's path has at most 107 bytes.
    const runDir = await mkdtemp(join(tmpdir(), 'skiff-db-'));
    try {
      return await launch(props, programs, runDir);
    } catch (error) {
      await rm(runDir, { recursive: true, force: true });
      if (attempt >= MAX_ATTEMPTS || !(error instanceof StoreError) || !error.message.includes(PORT_TAKEN)) throw error;
      logger.info({ attempt }, 'another program took the port of the private database, trying another');
    }
  }
}

async function launch(props: PrivateMariadbProps, programs: MariadbPrograms, runDir: string): Promise<PrivateMariadb> {
  const { dataDir, logger, signal } = props;
  const password = randomBytes(24).toString('base64url');
  const initFile = join(runDir, 'init.sql');
  await writeFile(initFile, accountSql(password), { mode: 0o600 });
  const socketPath = join(runDir, 'db.sock');
  const port = await freePort();
  const errorLog = join(runDir, 'error.log');
  const server = supervise({
    command: [
      programs.server,
      '--no-defaults',
      ...asRoot(),
      `--datadir=${dataDir}`,
      `--tmpdir=${runDir}`,
      `--socket=${socketPath}`,
      `--pid-file=${join(runDir, 'pid')}`,
      `--log-error=${errorLog}`,
      `--init-file=${initFile}`,
      '--bind-address=127.0.0.1',
      `--port=${port}`,
      ...SERVER_SETTINGS,
      ...(props.options ?? []),
    ],
    remove: props.ephemeral === true ? [runDir, dataDir] : [runDir],
  });
  const ended = new Promise<string>((resolve) => {
    server.once('exit', () => {
      tail(errorLog).then(resolve, () => resolve(''));
    });
  });
  const kill = async () => {
    server.ref();
    if (server.pid !== undefined && server.exitCode === null && server.signalCode === null) server.kill('SIGUSR1');
    await ended;
  };
  const stop = async () => {
    // From here on we wait for it, and must not end before.
    server.ref();
    server.stdin?.destroy();
    if (await Promise.race([ended.then(() => true), sleep(STOP_TIMEOUT_MS, false, { ref: false })])) return;
    logger.warn({}, 'private database does not end, killing it');
    await kill();
  };
  const account = `mysql://skiff:${password}@`;
  const url = new Secret(`${account}localhost/${SCHEMA}?socketPath=${encodeURIComponent(socketPath)}`);
  try {
    await waitUntilReady({ url, ended, logger, signal, errorLog });
  } catch (error) {
    // While it starts it does not listen to anything gentler, and has nothing to lose.
    await kill();
    throw error;
  }
  await rm(initFile, { force: true });
  return { url, tcpUrl: new Secret(`${account}127.0.0.1:${port}/${SCHEMA}`), version: programs.version, stop, ended };
}

/** The account is made anew at each start, so that no password is ever kept on disk. */
function accountSql(password: string): string {
  return [
    `CREATE DATABASE IF NOT EXISTS ${SCHEMA} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;`,
    ...['localhost', '127.0.0.1'].flatMap((host) => [
      `CREATE OR REPLACE USER 'skiff'@'${host}' IDENTIFIED BY '${password}';`,
      `GRANT ALL PRIVILEGES ON *.* TO 'skiff'@'${host}' WITH GRANT OPTION;`,
    ]),
    '',
  ].join('\n');
}

function asRoot(): readonly string[] {
  return process.getuid?.() === 0 ? ['--user=root'] : [];
}

function supervise(props: { readonly command: readonly string[]; readonly remove: readonly string[] }): ChildProcess {
  const child = spawn('/bin/sh', ['-c', SUPERVISOR_SCRIPT, 'skiff-database', String(props.remove.length), ...props.remove, ...props.command], {
    // A group of its own: Ctrl-C at the terminal reaches us alone, and the database ends after us.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.on('error', () => {
    // `exit` does not follow a failed spawn; /bin/sh is always there, so the ready wait reports it.
  });
  child.stdin?.on('error', () => {
    // The shell has ended already.
  });
  // Neither keeps us running: when we have nothing else to do we end, and the database with us.
  child.unref();
  if (child.stdin !== null && 'unref' in child.stdin && typeof child.stdin.unref === 'function') child.stdin.unref();
  return child;
}

async function install(programs: MariadbPrograms, dataDir: string, signal: AbortSignal): Promise<void> {
  const args = [
    '--no-defaults',
    ...asRoot(),
    `--datadir=${dataDir}`,
    // Of its own: each server that starts deletes all temporary tables of that folder, those of others too.
    `--tmpdir=${dataDir}`,
    '--skip-test-db',
    '--auth-root-authentication-method=socket',
    '--innodb-log-file-size=16M',
  ];
  const child = spawn(programs.install, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(INSTALL_TIMEOUT_MS)]),
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('error', () => {
      // Ends with the process; its exit is what counts.
    });
    stream.on('data', (chunk: Buffer) => {
      output = `${output}${chunk.toString()}`.slice(-8_000);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code === 0) return;
  await rm(join(dataDir, 'mysql'), { recursive: true, force: true });
  throw failed(`mariadb-install-db could not prepare ${dataDir} (exit ${code}): ${lastLines(causeOfFailure(output))}`);
}

interface ReadyProps {
  readonly url: Secret<string>;
  readonly ended: Promise<string>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly errorLog: string;
}

async function waitUntilReady(props: ReadyProps): Promise<void> {
  const database = openDatabase({ url: props.url, logger: silentLogger, poolSize: 1 });
  const startedAt = performance.now();
  let toldAt = startedAt;
  let last: unknown;
  let gone: string | undefined;
  void props.ended.then((text) => {
    gone = text;
  });
  try {
    for (;;) {
      props.signal.throwIfAborted();
      if (gone !== undefined) throw failed(`the private database ended while starting: ${lastLines(gone)}`);
      try {
        await database.ping(AbortSignal.timeout(2_000));
        return;
      } catch (error) {
        last = error;
      }
      const now = performance.now();
      if (now - startedAt > READY_TIMEOUT_MS)
        throw failed(`the private database was not ready after ${READY_TIMEOUT_MS / 1000} s: ${lastLines(await tail(props.errorLog))}`, last);
      if (now - toldAt > PROGRESS_EVERY_MS) {
        toldAt = now;
        props.logger.info({ waitedMs: Math.round(now - startedAt) }, 'private database is starting');
      }
      await sleep(25, undefined, { signal: props.signal });
    }
  } finally {
    await database.close();
  }
}

async function tail(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).slice(-2_000);
  } catch {
    return '';
  }
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-5).join(' | ');
}

function failed(message: string, cause?: unknown): StoreError {
  return new StoreError({ code: 'unavailable', vendorCode: 'startFailed', message, cause });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  if (address === null || typeof address === 'string') throw failed('no free port on loopback');
  return address.port;
}
