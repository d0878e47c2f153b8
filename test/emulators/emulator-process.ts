import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEPT_OUTPUT_CHARS = 8_192;

export interface EmulatorProps {
  readonly name: string;
  /** Module to run, as a file path. */
  readonly entry: string;
  /** Arguments; called before each start, so that a restart may use the ports found before. */
  readonly args: () => readonly string[] | Promise<readonly string[]>;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** For programs that are not ours: the ready message found in their output so far. Ours send `{ready: {...}}` over IPC. */
  readonly readyFrom?: (output: string) => unknown;
  readonly onReady?: (ready: unknown) => void | Promise<void>;
}

/** One emulator in a child process of its own, which ends with this process. */
export interface EmulatorProcess {
  readonly name: string;
  readonly pid: number | undefined;
  /** SIGTERM, and waits until it has ended. */
  stop(): Promise<void>;
  /** SIGKILL: what a crash does. */
  kill(): Promise<void>;
  /** Starts it again on the same ports with the same data; kills it first when it runs. */
  restart(): Promise<void>;
  /** Asks an emulator of ours and gives its answer. */
  request(question: unknown): Promise<unknown>;
}

/** @throws {Error} with the last output of the child when it ends or stays silent for 30 s before it is ready. */
export async function startEmulator(props: EmulatorProps): Promise<EmulatorProcess> {
  let child = await launch(props);
  let requests = 0;
  return {
    name: props.name,
    get pid() {
      return child.pid;
    },
    stop: () => end(child, 'SIGTERM'),
    kill: () => end(child, 'SIGKILL'),
    restart: async () => {
      await end(child, 'SIGKILL');
      child = await launch(props);
    },
    request: (question) => ask(child, ++requests, question),
  };
}

async function launch(props: EmulatorProps): Promise<ChildProcess> {
  const args = await props.args();
  const child = spawn(process.execPath, ['--import', new URL('die-with-parent.ts', import.meta.url).href, props.entry, ...args], {
    env: { ...process.env, ...props.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const ready = Promise.withResolvers<unknown>();
  let output = '';
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-KEPT_OUTPUT_CHARS);
    const found = props.readyFrom?.(output);
    if (found !== undefined) ready.resolve(found);
  };
  child.on('error', (error) => ready.reject(error));
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  child.on('message', (message) => {
    if (typeof message === 'object' && message !== null && 'ready' in message) ready.resolve(message.ready);
  });
  child.on('exit', (code, signal) => ready.reject(new Error(`${props.name} ended before it was ready (${code ?? signal}): ${output}`)));
  const timer = setTimeout(() => ready.reject(new Error(`${props.name} was not ready in time: ${output}`)), READY_TIMEOUT_MS);
  try {
    await props.onReady?.(await ready.promise);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return child;
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  const stopTimer = new AbortController();
  const late = delay(STOP_TIMEOUT_MS, 'late', { signal: stopTimer.signal }).catch(() => 'stopped');
  if ((await Promise.race([exited, late])) === 'late') {
    child.kill('SIGKILL');
    await exited;
  }
  stopTimer.abort();
}

async function ask(child: ChildProcess, id: number, question: unknown): Promise<unknown> {
  const answer = Promise.withResolvers<unknown>();
  const timer = setTimeout(() => answer.reject(new Error('the emulator did not answer')), REQUEST_TIMEOUT_MS);
  const onMessage = (message: unknown): void => {
    if (typeof message === 'object' && message !== null && 'id' in message && message.id === id && 'answer' in message) answer.resolve(message.answer);
  };
  child.on('message', onMessage);
  child.send({ id, question });
  try {
    return await answer.promise;
  } finally {
    clearTimeout(timer);
    child.off('message', onMessage);
  }
}
