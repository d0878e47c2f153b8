import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Value } from 'typebox/value';
import type { Login } from '../../support/openssh-client.ts';
import { machineMs } from './clock.ts';
import { type Arrivals, ArrivalsSchema, type Load, type LoadResult, LoadResultSchema } from './messages.ts';
import { type LoadPerFile, loadPerFile, readLoad } from './station-load.ts';
import type { Stations } from './stations.ts';

const SESSIONS = 20;
const SIZE_BYTES = 4096;
/** How long events may take that are still under way when the last file was acknowledged. On a busy machine the bus may have to be tried again. */
export const LAST_EVENTS_MS = 60_000;

export interface LatencyFigures {
  readonly uploads: number;
  /** Acknowledged per second, first due to last acknowledged. */
  readonly achievedPerSecond: number;
  readonly failed: number;
  readonly failure: string;
  /** Acknowledged, but the application had not heard of it within {@link LAST_EVENTS_MS}. */
  readonly missing: number;
  readonly repeated: number;
  /** From the moment a file was due until CLOSE was answered, sorted, ms. */
  readonly uploadMs: readonly number[];
  /** CLOSE to its answer, sorted, ms. */
  readonly closeMs: readonly number[];
  /** Answer to CLOSE to the call of the application, sorted, ms; an event may overtake the answer. */
  readonly toTargetMs: readonly number[];
  readonly load: LoadPerFile;
}

export interface LatencyRun {
  readonly ratePerSecond: number;
  readonly seconds: number;
  readonly login: Login & { readonly keyFile: string };
}

/** Sends files at a fixed rate and waits until the application has heard of all. */
export async function measureLatency(stations: Stations, run: LatencyRun): Promise<LatencyFigures> {
  const directory = `/${run.ratePerSecond}-per-second-${Math.round(machineMs())}`;
  const { ratePerSecond, seconds } = run;
  const { host, port, username, keyFile } = run.login;
  const load = { ratePerSecond, seconds, host, port, username, keyFile, sessions: SESSIONS, sizeBytes: SIZE_BYTES, directory };
  const generator = fork(fileURLToPath(new URL('load-main.ts', import.meta.url)));
  try {
    const { pid } = generator;
    if (pid === undefined) throw new Error('the load generator did not start');
    const processes = new Map([...stations.processes, ['load generator', pid]]);
    const before = await readLoad(stations, processes);
    const { repeated: repeatedBefore } = await arrivalsOf(stations);
    const { uploads, failure } = await generate(generator, load);
    const acknowledged = uploads.flatMap(({ path, dueMs, closedMs, closeMs }) => (closedMs === null ? [] : [{ path, dueMs, closedMs, closeMs }]));
    const { arrivals, repeated } = await allArrivals(stations, acknowledged);
    const after = await readLoad(stations, processes);
    const due = Math.min(...uploads.map(({ dueMs }) => dueMs));
    return {
      uploads: uploads.length,
      achievedPerSecond: acknowledged.length / ((Math.max(...acknowledged.map(({ closedMs }) => closedMs)) - due) / 1000),
      failed: uploads.length - acknowledged.length,
      failure,
      missing: acknowledged.filter(({ path }) => !arrivals.has(path)).length,
      repeated: repeated - repeatedBefore,
      uploadMs: sorted(acknowledged.map(({ closedMs, dueMs }) => closedMs - dueMs)),
      closeMs: sorted(acknowledged.map(({ closeMs }) => closeMs)),
      toTargetMs: sorted(acknowledged.flatMap(({ path, closedMs }) => (arrivals.get(path) ?? Number.NaN) - closedMs).filter((wait) => !Number.isNaN(wait))),
      load: loadPerFile(before, after, acknowledged.length),
    };
  } finally {
    generator.kill();
  }
}

async function generate(generator: ReturnType<typeof fork>, load: Load): Promise<LoadResult> {
  generator.on('error', () => generator.kill());
  const answered = once(generator, 'message', { signal: AbortSignal.timeout(load.seconds * 1000 + 90_000) });
  generator.send(load);
  const [message]: unknown[] = await answered;
  Value.Assert(LoadResultSchema, message);
  if (message.uploads.length === 0) throw new Error(`the load generator failed: ${message.failure}`);
  return message;
}

interface Heard {
  readonly arrivals: ReadonlyMap<string, number>;
  readonly repeated: number;
}

async function allArrivals(stations: Stations, acknowledged: readonly { readonly path: string }[]): Promise<Heard> {
  for (const end = machineMs() + LAST_EVENTS_MS; ; await sleep(200)) {
    const { arrivals, repeated } = await arrivalsOf(stations);
    const heard = new Map(arrivals);
    if (machineMs() > end || acknowledged.every(({ path }) => heard.has(path))) return { arrivals: heard, repeated };
  }
}

export async function arrivalsOf({ target }: Stations): Promise<Arrivals> {
  const answer = await target.request('arrivals');
  Value.Assert(ArrivalsSchema, answer);
  return answer;
}

function sorted(values: readonly number[]): readonly number[] {
  return values.toSorted((a, b) => a - b);
}

/** The smallest of the sorted values that so many per cent do not exceed (nearest rank). */
export function percentile(values: readonly number[], percent: number): number {
  return values[Math.max(0, Math.ceil((values.length * percent) / 100) - 1)] ?? Number.NaN;
}
