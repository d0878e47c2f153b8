import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface ClientResult {
  readonly status: number | null;
  readonly output: string;
}

const TIMEOUT_MS = 60_000;

/** A temporary directory with what OpenSSH's clients need; dispose it at the end. */
export class OpensshClient implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'skiff-ssh-'));
  readonly #port: number;
  readonly #running = new Set<ChildProcess>();

  constructor(port: number) {
    this.#port = port;
  }

  [Symbol.dispose](): void {
    for (const child of this.#running) child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Writes a file that only the user may read, as ssh demands of keys. */
  file(name: string, content: string | Buffer): string {
    const path = join(this.directory, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  /** `sftp` with a batch of commands, logging in by key. */
  sftpWithKey(key: string, batch: string, options: readonly string[] = []): Promise<ClientResult> {
    const keyFile = this.file('id', key);
    return this.#sftp(['-oBatchMode=yes', `-oIdentityFile=${keyFile}`, '-oIdentitiesOnly=yes', ...options], batch, {});
  }

  /** `sftp` with a batch of commands, logging in by password. */
  sftpWithPassword(password: string, batch: string, options: readonly string[] = []): Promise<ClientResult> {
    const askpass = join(this.directory, 'askpass');
    writeFileSync(askpass, '#!/bin/sh\nprintf "%s\\n" "$TEST_SSH_PASSWORD"\n', { mode: 0o700 });
    const environment = { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', TEST_SSH_PASSWORD: password };
    // -b turns on BatchMode, which forbids askpass, unless it was set before.
    return this.#sftp(['-oBatchMode=no', '-oPubkeyAuthentication=no', '-oNumberOfPasswordPrompts=1', ...options], batch, environment);
  }

  /** `ssh` itself, for everything that is not SFTP. */
  ssh(key: string, options: readonly string[], command: readonly string[] = []): Promise<ClientResult> {
    const keyFile = this.file('id', key);
    const common = ['-oBatchMode=yes', `-oIdentityFile=${keyFile}`, '-oIdentitiesOnly=yes', ...this.#common(), '-p', String(this.#port)];
    return this.#run('ssh', [...common, ...options, 'tester@127.0.0.1', ...command], {});
  }

  #common(): readonly string[] {
    return ['-F', '/dev/null', '-oStrictHostKeyChecking=no', '-oUserKnownHostsFile=/dev/null', '-oGlobalKnownHostsFile=/dev/null', '-oConnectTimeout=10'];
  }

  #sftp(login: readonly string[], batch: string, environment: Readonly<Record<string, string>>): Promise<ClientResult> {
    const batchFile = this.file('batch', batch);
    return this.#run('sftp', [...login, ...this.#common(), '-P', String(this.#port), '-b', batchFile, 'tester@127.0.0.1'], environment);
  }

  #run(command: string, args: readonly string[], environment: Readonly<Record<string, string>>): Promise<ClientResult> {
    const { promise, resolve, reject } = Promise.withResolvers<ClientResult>();
    // A session of its own has no terminal to ask on.
    const child = spawn('setsid', ['--wait', command, ...args], {
      cwd: this.directory,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: this.directory, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    this.#running.add(child);
    const output: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => output.push(data));
    child.stderr.on('data', (data: Buffer) => output.push(data));
    child.on('error', reject);
    child.on('close', (status) => {
      this.#running.delete(child);
      resolve({ status, output: Buffer.concat(output).toString() });
    });
    return promise;
  }
}
