import { type SpawnOptions, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** How to log in with the OpenSSH client. */
export interface Login {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** Path of a private key, or a password. */
  readonly credential: { readonly keyFile: string } | { readonly password: string };
  /** Extra `-o` options and flags, such as `['-o', 'Ciphers=aes128-ctr']`. */
  readonly options?: readonly string[];
}

export interface ClientResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

/** The real `sftp` and `ssh-keygen` of the system, with a home directory, known hosts and an askpass of their own. */
export class OpenSshClient {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true });
    const askpass = join(dir, 'askpass');
    writeFileSync(askpass, '#!/bin/sh\nprintf "%s\\n" "$SKIFF_TEST_PASSWORD"\n');
    chmodSync(askpass, 0o700);
  }

  get knownHostsFile(): string {
    return join(this.#dir, 'known_hosts');
  }

  /** Makes a key pair; returns the private key's path and the public line. */
  async generateKey(name: string, type = 'ed25519', bits?: number): Promise<{ readonly keyFile: string; readonly publicKey: string }> {
    const keyFile = join(this.#dir, name);
    const made = await run('ssh-keygen', ['-q', '-t', type, ...(bits === undefined ? [] : ['-b', String(bits)]), '-N', '', '-C', name, '-f', keyFile]);
    if (made.exitCode !== 0) throw new Error(`ssh-keygen: ${made.stderr}`);
    const shown = await run('ssh-keygen', ['-y', '-f', keyFile]);
    return { keyFile, publicKey: shown.stdout.trim() };
  }

  /** Runs an `sftp` batch. Host keys are accepted on first sight and must stay the same afterwards. */
  sftp(login: Login, batch: readonly string[], signal?: AbortSignal): Promise<ClientResult> {
    const { args, env } = this.#prepare(login);
    return run('setsid', ['-w', 'sftp', ...args, '-P', String(login.port), '-b', '-', `${login.username}@${login.host}`], {
      input: `${batch.join('\n')}\n`,
      env,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Runs `ssh` itself, for a command or a subsystem. */
  ssh(login: Login, args: readonly string[]): Promise<ClientResult> {
    const prepared = this.#prepare(login);
    return run('setsid', ['-w', 'ssh', ...prepared.args, '-p', String(login.port), `${login.username}@${login.host}`, ...args], { env: prepared.env });
  }

  #prepare(login: Login): { readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv } {
    const common = ['-F', 'none', '-o', `UserKnownHostsFile=${this.knownHostsFile}`, '-o', 'StrictHostKeyChecking=accept-new', '-o', 'ConnectTimeout=10'];
    const byKey = 'keyFile' in login.credential;
    const auth = byKey
      ? ['-i', login.credential.keyFile, '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '-o', 'PreferredAuthentications=publickey']
      : ['-o', 'BatchMode=no', '-o', 'PreferredAuthentications=password', '-o', 'PubkeyAuthentication=no', '-o', 'NumberOfPasswordPrompts=1'];
    const password = byKey ? {} : { SKIFF_TEST_PASSWORD: login.credential.password, SSH_ASKPASS: join(this.#dir, 'askpass'), SSH_ASKPASS_REQUIRE: 'force' };
    const { SSH_AUTH_SOCK: _agent, ...env } = process.env;
    // Of two values for one option ssh takes the first.
    return { args: [...(login.options ?? []), ...common, ...auth], env: { ...env, ...password, DISPLAY: ':0' } };
  }
}

interface RunOptions {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** Runs a program to its end and collects what it says; never rejects for its exit code. */
function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<ClientResult> {
  const startedAt = performance.now();
  const spawnOptions: SpawnOptions = {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: options.env ?? process.env,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, spawnOptions);
    let stdout = '';
    let stderr = '';
    child.on('error', reject);
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('close', (code) => resolve({ exitCode: code ?? -1, stdout, stderr, elapsedMs: performance.now() - startedAt }));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}
