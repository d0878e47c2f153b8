import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { endWithUs } from './end-with-us.ts';

export interface PrivateProcess {
  /** What it has printed, for messages of failed tests. */
  readonly output: () => string;
  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when it is gone. */
  stop(graceMs?: number): Promise<void>;
  kill(): Promise<void>;
  readonly exited: Promise<unknown>;
}

/** Starts a program of the system in a process group of its own, which ends with this process. */
export function startPrivateProcess(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): PrivateProcess {
  const child: ChildProcess = spawn(command, [...args], { env: { PATH: process.env.PATH ?? '', ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  const exited = once(child, 'exit').catch(() => undefined);
  child.on('error', (error) => {
    output += error.message;
  });
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-20_000)));
  const signalGroup = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, signal);
  };
  const forget = endWithUs(() => signalGroup('SIGKILL'));
  const end = async (signal: NodeJS.Signals, graceMs: number): Promise<void> => {
    const timer = setTimeout(() => signalGroup('SIGKILL'), graceMs);
    signalGroup(signal);
    await exited;
    clearTimeout(timer);
    forget();
  };
  return { output: () => output, exited, stop: (graceMs = 10_000) => end('SIGTERM', graceMs), kill: () => end('SIGKILL', 1000) };
}
