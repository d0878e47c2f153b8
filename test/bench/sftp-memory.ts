/**
 * CPU of the protocol layer alone: OpenSSH's `sftp` moves a file to and from a backend that keeps nothing, beside OpenSSH's
 * own server on the same machine when it is installed. Run as the data plane runs, or garbage collection of buffers doubles
 * the cost: `node --initial-old-space-size=1024 test/bench/sftp-memory.ts [MiB]`; writes `out/sftp-memory.json`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { silentLogger } from '@skiff/runtime/logger';
import { Secret } from '@skiff/runtime/secret';
import type { FileAttributes, SftpBackend } from '@skiff/sftp-protocol/backend';
import { selfCheck } from '@skiff/sftp-protocol/self-check';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import { createSshListener } from '@skiff/sftp-protocol/ssh-listener';
import { freePort } from '../support/free-port.ts';

const MIB = 1024 * 1024;
const sizeBytes = Number(process.argv[2] ?? 256) * MIB;
const CIPHER = 'aes128-gcm@openssh.com';
const SSHD = '/usr/sbin/sshd';
const CLOCK_TICKS_PER_SECOND = 100;
/** Measured 1.4 to 1.5 up and 1.1 to 1.2 down (512 MiB, two busy cores; sshd 3.1 and 1.6 to 2.0): fails on a lost fast path, not on noise. */
const MAX_CPU_SECONDS_PER_GIB = 2;

interface Check {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly limit?: string;
  readonly ok: boolean;
}

const zeros = Buffer.alloc(MIB);
const attributes: FileAttributes = { sizeBytes, mode: 0o100644, modifiedAt: 0 };

async function unsupported(): Promise<never> {
  throw new SftpError(SftpStatus.unsupported, 'not part of this measurement');
}

const discard: SftpBackend = {
  open: async () => ({
    write: () => {},
    read: async (offset, length) => {
      const bytes = Math.min(length, sizeBytes - offset);
      return bytes <= 0 ? undefined : { parts: [zeros.subarray(0, bytes)], sizeBytes: bytes };
    },
    stat: async () => attributes,
    setStat: async () => {},
    close: async () => {},
    abandon: () => {},
  }),
  stat: async (path) => (path === '/' ? { mode: 0o040755 } : attributes),
  openDirectory: unsupported,
  setStat: unsupported,
  remove: unsupported,
  rename: unsupported,
  makeDirectory: unsupported,
  removeDirectory: unsupported,
  end: () => {},
};

const directory = mkdtempSync(join(tmpdir(), 'skiff-bench-'));
const file = (name: string) => join(directory, name);

function keygen(name: string): void {
  const run = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(name)], { stdio: 'inherit' });
  if (run.status !== 0) throw new Error('ssh-keygen failed');
}

/** One transfer; gives its wall time in seconds. */
async function sftp(port: number, user: string, command: string): Promise<number> {
  writeFileSync(file('batch'), `${command}\n`);
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'IdentitiesOnly=yes',
    `Ciphers=${CIPHER}`,
    `IdentityFile=${file('id')}`,
  ];
  const args = ['-F', '/dev/null', '-q', ...options.flatMap((option) => ['-o', option]), '-P', String(port), '-b', file('batch'), `${user}@127.0.0.1`];
  const start = performance.now();
  const child = spawn('sftp', args, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 });
  const status = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
  if (status !== 0) throw new Error(`sftp ended with ${String(status)}`);
  return (performance.now() - start) / 1000;
}

async function measure(name: string, cpuSeconds: () => number, transfer: () => Promise<number>, limit?: number): Promise<readonly Check[]> {
  const before = cpuSeconds();
  const seconds = await transfer();
  const cpu = (cpuSeconds() - before) / (sizeBytes / 1024 ** 3);
  const bounded = limit === undefined ? { ok: true } : { limit: `<= ${limit}`, ok: cpu <= limit };
  return [
    { name: `${name}: CPU`, value: Number(cpu.toFixed(2)), unit: 's/GiB', ...bounded },
    { name: `${name}: throughput`, value: Math.round(sizeBytes / MIB / seconds), unit: 'MiB/s', ok: true },
  ];
}

async function measureSkiff(): Promise<readonly Check[]> {
  await selfCheck();
  const listener = createSshListener<string>({
    hostKeys: [new Secret(readFileSync(file('host'), 'utf8'))],
    methods: ['publickey'],
    authenticate: async (attempt) => (attempt.method === 'publickey' ? { kind: 'accept', identity: attempt.username } : { kind: 'deny' }),
    openSession: () => ({ backend: discard }),
    logger: silentLogger,
  });
  await listener.listen(0, '127.0.0.1');
  const cpu = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  try {
    await sftp(listener.port, 'bench', `put ${file('source')} /warm`);
    const up = await measure('skiff upload', cpu, () => sftp(listener.port, 'bench', `put ${file('source')} /f`), MAX_CPU_SECONDS_PER_GIB);
    const down = await measure('skiff download', cpu, () => sftp(listener.port, 'bench', 'get /f /dev/null'), MAX_CPU_SECONDS_PER_GIB);
    return [...up, ...down, { name: 'skiff: resident memory', value: Math.round(process.memoryUsage().rss / MIB), unit: 'MiB', ok: true }];
  } finally {
    await listener.close({ graceMs: 0 });
  }
}

/** OpenSSH's server writes to and reads from a file in /dev/shm. */
async function measureSshd(): Promise<readonly Check[]> {
  const port = await freePort();
  const lines = ['UsePAM no', 'StrictModes no', 'PermitRootLogin yes', 'Subsystem sftp internal-sftp', `AuthorizedKeysFile ${file('id.pub')}`];
  writeFileSync(file('sshd_config'), `${lines.join('\n')}\n`);
  mkdirSync('/run/sshd', { recursive: true });
  const sshd = spawn(SSHD, ['-D', '-f', file('sshd_config'), '-h', file('host'), '-p', String(port), '-o', 'ListenAddress=127.0.0.1'], { stdio: 'ignore' });
  const remote = `/dev/shm/skiff-bench-${sshd.pid}`;
  // utime, stime and those of the children that were waited for: proc_pid_stat(5), fields 14 to 17.
  const cpu = () => {
    const fields = readFileSync(`/proc/${sshd.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / CLOCK_TICKS_PER_SECOND;
  };
  const settled = async (transfer: Promise<number>) => {
    const seconds = await transfer;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return seconds;
  };
  try {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const up = await measure('sshd upload', cpu, () => settled(sftp(port, 'root', `put ${file('source')} ${remote}`)));
    const down = await measure('sshd download', cpu, () => settled(sftp(port, 'root', `get ${remote} /dev/null`)));
    return [...up, ...down];
  } finally {
    sshd.kill();
    rmSync(remote, { force: true });
  }
}

try {
  keygen('host');
  keygen('id');
  const source = openSync(file('source'), 'w');
  ftruncateSync(source, sizeBytes);
  closeSync(source);
  const canRunSshd = process.getuid?.() === 0 && spawnSync(SSHD, ['-V'], { stdio: 'ignore' }).error === undefined;
  const checks = [...(await measureSkiff()), ...(canRunSshd ? await measureSshd() : [])];
  const out = join(dirname(dirname(import.meta.dirname)), 'out');
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'sftp-memory.json'), `${JSON.stringify({ checks }, undefined, 2)}\n`);
  console.table(checks);
  if (!checks.every((check) => check.ok)) process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
