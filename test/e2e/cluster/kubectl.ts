import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const DEFAULT_TIMEOUT_MS = 120_000;
const MAX_OUTPUT_CHARS = 64 * 1024 * 1024;

/** A manifest, or an object as the API server gives it. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** What it says on standard error is shown while it works. */
  readonly showProgress?: boolean;
}

export class CommandError extends Error {
  readonly code = 'CommandFailed';
  readonly stderr: string;
  /** Undefined when it was ended by a signal, or never began. */
  readonly exitCode: number | undefined;
  constructor(program: Program, status: string, { stderr, exitCode }: { readonly stderr: string; readonly exitCode?: number }) {
    super(`${program.command} ${program.args.join(' ').slice(0, 300)}: ${status}\n${stderr.slice(-4_000)}`);
    this.name = 'CommandError';
    this.stderr = stderr;
    this.exitCode = exitCode;
  }
}

/** Runs a program to its end. @throws {CommandError} for any exit code but 0. */
export async function output(program: Program, signal?: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timeout = AbortSignal.timeout(program.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const child = spawn(program.command, program.args, {
    env: program.env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
  });
  let stdout = '';
  let stderr = '';
  child.on('error', (error) => reject(new CommandError(program, error.message, { stderr })));
  child.stdin.on('error', () => undefined);
  child.stdout.on('data', (chunk: Buffer) => {
    stdout = (stdout + chunk.toString()).slice(-MAX_OUTPUT_CHARS);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-16_384);
    if (program.showProgress === true) process.stderr.write(chunk);
  });
  child.on('close', (code, name) => {
    if (code === 0) resolve(stdout);
    else reject(new CommandError(program, `ended with ${code ?? name}`, { stderr, ...(code === null ? {} : { exitCode: code }) }));
  });
  child.stdin.end(program.input ?? '');
  return promise;
}

/** `kubectl` and `helm` against one cluster. */
export class Kubectl {
  /** Environment that leads to the cluster. */
  readonly env: NodeJS.ProcessEnv;
  readonly #signal: AbortSignal;

  constructor(props: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal }) {
    this.env = props.env;
    this.#signal = props.signal;
  }

  run(args: readonly string[], options: { readonly input?: string; readonly timeoutMs?: number } = {}): Promise<string> {
    return output({ command: 'kubectl', args, env: this.env, ...options }, this.#signal);
  }

  helm(args: readonly string[], timeoutMs = 300_000): Promise<string> {
    return output({ command: 'helm', args, env: this.env, timeoutMs }, this.#signal);
  }

  apply(objects: readonly KubeObject[]): Promise<string> {
    return this.run(['apply', '-f', '-'], { input: asList(objects) });
  }

  /** For many new ones: asks the API server once for each. */
  create(objects: readonly KubeObject[], timeoutMs: number): Promise<string> {
    return this.run(['create', '-f', '-'], { input: asList(objects), timeoutMs });
  }

  async json(args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.run([...args, '-o', 'json']));
  }

  /** `kubectl get … -o jsonpath=…` */
  value(args: readonly string[], path: string): Promise<string> {
    return this.run([...args, '-o', `jsonpath=${path}`]);
  }

  async rolledOut(namespace: string, names: readonly string[], timeoutSeconds = 120): Promise<void> {
    for (const name of names) {
      await this.run(['-n', namespace, 'rollout', 'status', name, `--timeout=${timeoutSeconds}s`], { timeoutMs: (timeoutSeconds + 10) * 1_000 });
    }
  }

  /** Asks again until there is an answer that is not undefined. */
  async eventually<Answer>(what: string, ask: () => Promise<Answer | undefined>, timeoutMs = 60_000): Promise<Answer> {
    const startedAt = performance.now();
    for (let last: unknown; ; await sleep(250, undefined, { signal: this.#signal })) {
      try {
        const answer = await ask();
        if (answer !== undefined) return answer;
      } catch (error) {
        last = error;
      }
      if (performance.now() - startedAt > timeoutMs) throw new Error(`no ${what} within ${timeoutMs} ms`, { cause: last });
    }
  }
}

/** Not documents divided by `---`: of JSON some versions of kubectl do not take them. */
function asList(objects: readonly KubeObject[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
}
