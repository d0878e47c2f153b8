import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Login, OpenSshClient } from '../support/openssh-client.ts';

export interface OpenSshServer {
  readonly pid: number;
  readonly login: Login;
  /** Where its files are. */
  readonly directory: string;
  stop(): Promise<void>;
}

/** The system's own sshd with its sftp-server, on a port and keys of its own, with files on the local disk. */
export async function startOpenSshServer(dir: string, port: number, client: OpenSshClient): Promise<OpenSshServer> {
  const directory = join(dir, 'files');
  mkdirSync(directory, { recursive: true });
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const hostKey = await client.generateKey('sshd_host');
  const user = await client.generateKey('sshd_user');
  const authorized = join(dir, 'authorized_keys');
  writeFileSync(authorized, `${user.publicKey}\n`, { mode: 0o600 });
  const config = join(dir, 'sshd_config');
  writeFileSync(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKey.keyFile}`,
      `AuthorizedKeysFile ${authorized}`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'Subsystem sftp /usr/lib/openssh/sftp-server',
      '',
    ].join('\n'),
  );
  const child: ChildProcess = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.on('error', (error) => {
    output += error.message;
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  for (let waited = 0; !output.includes('Server listening'); waited += 50) {
    if (waited > 10_000 || child.exitCode !== null) throw new Error(`sshd did not start: ${output}`);
    await sleep(50);
  }
  const { pid } = child;
  if (pid === undefined) throw new Error('sshd has no process id');
  return {
    pid,
    directory,
    login: { host: '127.0.0.1', port, username: userInfo().username, credential: { keyFile: user.keyFile } },
    stop: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}
