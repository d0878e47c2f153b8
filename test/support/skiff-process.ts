import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { MALLOC_SETTINGS } from '@skiff/skiff/malloc-settings';
import { nodeFlagsOf } from '@skiff/skiff/node-flags';
import { endWithUs } from './end-with-us.ts';

const PROGRAM = join(import.meta.dirname, '../../packages/skiff/src/main.ts');
const STOP_TIMEOUT_MS = 20_000;
/** Lines of the log kept for waiting and for failure messages. */
const KEPT_LINES = 20_000;

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface SkiffProcessProps {
  /** The program's main module. Default: that of the sources. */
  readonly main?: string;
  /** Further flags of Node, such as `--cpu-prof`. */
  readonly nodeFlags?: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly onLine?: (line: LogLine) => void;
}

/** The program as its users start it, in a process of its own, with its log parsed. */
export class SkiffProcess {
  readonly #child: ChildProcess;
  readonly #lines: LogLine[] = [];
  readonly #listeners = new Set<(line: LogLine) => void>();
  #stderr = '';

  constructor(props: SkiffProcessProps) {
    const { NODE_OPTIONS: _options, ...inherited } = process.env;
    this.#child = spawn(process.execPath, [...nodeFlagsOf(props.args[0]), ...(props.nodeFlags ?? []), props.main ?? PROGRAM, ...props.args], {
      env: { ...MALLOC_SETTINGS, ...inherited, ...props.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.on('error', (error) => {
      this.#stderr += error.message;
    });
    this.#child.once(
      'exit',
      endWithUs(() => this.#child.kill('SIGKILL')),
    );
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-16_384);
    });
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (text) => {
        const line = parseLine(text);
        if (line === undefined) return;
        this.#lines.push(line);
        if (this.#lines.length > KEPT_LINES) this.#lines.shift();
        props.onLine?.(line);
        for (const listener of this.#listeners) listener(line);
      });
    }
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('the program did not start');
    return pid;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  /** The first line, past or to come, that matches. @throws {Error} with the end of the log when none comes in time. */
  async waitFor(what: string, matches: (line: LogLine) => boolean, timeoutMs = 20_000): Promise<LogLine> {
    const past = this.#lines.find(matches);
    if (past !== undefined) return past;
    const found = Promise.withResolvers<LogLine>();
    const listener = (line: LogLine) => {
      if (matches(line)) found.resolve(line);
    };
    const onExit = () => found.reject(new Error(`skiff ended while waiting for ${what}\n${this.describe()}`));
    const timer = setTimeout(() => found.reject(new Error(`no ${what} within ${timeoutMs} ms\n${this.describe()}`)), timeoutMs);
    this.#listeners.add(listener);
    this.#child.once('exit', onExit);
    try {
      return await found.promise;
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(listener);
      this.#child.off('exit', onExit);
    }
  }

  describe(): string {
    return [...this.#lines.slice(-40).map((line) => JSON.stringify(line)), this.#stderr].join('\n');
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGTERM, and waits. Returns the exit code, or -1 when it had to be killed. */
  async stop(): Promise<number> {
    if (!this.running) return this.#child.exitCode ?? -1;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = AbortSignal.timeout(STOP_TIMEOUT_MS);
    await Promise.race([exited, once(timer, 'abort')]);
    if (this.running) await this.kill();
    return this.#child.exitCode ?? -1;
  }

  async kill(): Promise<void> {
    if (!this.running) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  /** Waits for the end that the program comes to by itself. */
  async ended(timeoutMs: number): Promise<number> {
    for (let waited = 0; this.running && waited < timeoutMs; waited += 50) await sleep(50);
    if (this.running) throw new Error(`skiff still runs\n${this.describe()}`);
    return this.#child.exitCode ?? -1;
  }
}

/** The line by which a server says that it knows so many users: it listens before it has heard of them. */
export function servesUsers(count: number): (line: LogLine) => boolean {
  return ({ msg, users }) => (msg === 'SFTP server listening' || msg === 'users changed') && users === count;
}

function parseLine(text: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'msg' in value && 'level' in value) {
      return { ...value, level: String(value.level), msg: String(value.msg) };
    }
  } catch {
    return undefined;
  }
  return undefined;
}
