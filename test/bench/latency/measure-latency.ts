import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Value } from 'typebox/value';
import { cpuSecondsOf } from '../process-cpu.ts';
import { machineMs } from './clock.ts';
import type { LatencyRig } from './latency-rig.ts';
import { type Arrivals, ArrivalsSchema, type Load, type LoadResult, LoadResultSchema } from './messages.ts';

const SESSIONS = 20;
const SIZE_BYTES = 4096;
/** How long events may take that are still under way when the last file was acknowledged. */
const LAST_EVENTS_MS = 20_000;

export interface LatencyFigures {
  readonly uploads: number;
  /** Acknowledged per second, first due to last acknowledged. */
  readonly achievedPerSecond: number;
  readonly failed: number;
  readonly failure: string;
  /** Acknowledged, but the application never heard of it. */
  readonly lost: number;
  readonly repeated: number;
  /** From the moment a file was due until CLOSE was answered, sorted, ms. */
  readonly uploadMs: readonly number[];
  /** CLOSE to its answer, sorted, ms. */
  readonly closeMs: readonly number[];
  /** Answer to CLOSE to the call of the application, sorted, ms; an event may overtake the answer. */
  readonly toTargetMs: readonly number[];
  /** By process, the load generator included. */
  readonly cpuMsPerUpload: ReadonlyMap<string, number>;
  readonly statementsPerUpload: number;
  readonly commitsPerUpload: number;
  readonly syncsPerUpload: number;
  readonly storeCallsPerUpload: number;
}

export interface LatencyRun {
  readonly ratePerSecond: number;
  readonly seconds: number;
}

/** Sends files at a fixed rate and waits until the application has heard of all. */
export async function measureLatency(rig: LatencyRig, run: LatencyRun): Promise<LatencyFigures> {
  const directory = `/${run.ratePerSecond}-per-second-${Math.round(machineMs())}`;
  const { host, port, username } = rig.login;
  const load = { ...run, host, port, username, keyFile: rig.keyFile, sessions: SESSIONS, sizeBytes: SIZE_BYTES, directory };
  const generator = fork(fileURLToPath(new URL('load-main.ts', import.meta.url)));
  try {
    const { pid } = generator;
    if (pid === undefined) throw new Error('the load generator did not start');
    const processes = new Map([...rig.processes, ['load generator', pid]]);
    const before = { cpu: cpuOf(processes), database: await rig.database.read(), calls: await callsOf(rig), repeated: (await arrivalsOf(rig)).repeated };
    const { uploads, failure } = await generate(generator, load);
    const acknowledged = uploads.flatMap(({ path, dueMs, closedMs, closeMs }) => (closedMs === null ? [] : [{ path, dueMs, closedMs, closeMs }]));
    const { arrivals, repeated } = await allArrivals(rig, acknowledged);
    const after = { cpu: cpuOf(processes), database: await rig.database.read(), calls: await callsOf(rig) };
    const count = Math.max(1, acknowledged.length);
    const per = (figure: 'statements' | 'commits' | 'syncs') => (after.database[figure] - before.database[figure]) / count;
    const due = Math.min(...uploads.map(({ dueMs }) => dueMs));
    return {
      uploads: uploads.length,
      achievedPerSecond: acknowledged.length / ((Math.max(...acknowledged.map(({ closedMs }) => closedMs)) - due) / 1000),
      failed: uploads.length - acknowledged.length,
      failure,
      lost: acknowledged.filter(({ path }) => !arrivals.has(path)).length,
      repeated: repeated - before.repeated,
      uploadMs: sorted(acknowledged.map(({ closedMs, dueMs }) => closedMs - dueMs)),
      closeMs: sorted(acknowledged.map(({ closeMs }) => closeMs)),
      toTargetMs: sorted(acknowledged.flatMap(({ path, closedMs }) => (arrivals.get(path) ?? Number.NaN) - closedMs).filter((wait) => !Number.isNaN(wait))),
      cpuMsPerUpload: new Map([...after.cpu].map(([name, seconds]) => [name, ((seconds - (before.cpu.get(name) ?? 0)) * 1000) / count])),
      statementsPerUpload: per('statements'),
      commitsPerUpload: per('commits'),
      syncsPerUpload: per('syncs'),
      storeCallsPerUpload: (after.calls - before.calls) / count,
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

async function allArrivals(rig: LatencyRig, acknowledged: readonly { readonly path: string }[]): Promise<Heard> {
  for (const end = machineMs() + LAST_EVENTS_MS; ; await sleep(200)) {
    const { arrivals, repeated } = await arrivalsOf(rig);
    const heard = new Map(arrivals);
    if (machineMs() > end || acknowledged.every(({ path }) => heard.has(path))) return { arrivals: heard, repeated };
  }
}

async function arrivalsOf({ target }: LatencyRig): Promise<Arrivals> {
  const answer = await target.request('arrivals');
  Value.Assert(ArrivalsSchema, answer);
  return answer;
}

async function callsOf({ blobs }: LatencyRig): Promise<number> {
  const { requests } = await blobs.stats();
  return Object.values(requests).reduce((sum, count) => sum + count, 0);
}

function cpuOf(processes: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...processes].map(([name, pid]) => [name, cpuSecondsOf(pid)]));
}

function sorted(values: readonly number[]): readonly number[] {
  return values.toSorted((a, b) => a - b);
}

/** The smallest of the sorted values that so many per cent do not exceed (nearest rank). */
export function percentile(values: readonly number[], percent: number): number {
  return values[Math.max(0, Math.ceil((values.length * percent) / 100) - 1)] ?? Number.NaN;
}
