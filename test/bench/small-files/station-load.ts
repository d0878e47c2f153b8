import { cpuOf, machineCpuSeconds } from '../process-cpu.ts';
import { machineMs } from './clock.ts';
import type { DatabaseLoad } from './database-load.ts';
import type { Stations } from './stations.ts';

/** What everybody has done so far. */
export interface StationLoad {
  readonly atMs: number;
  readonly cpuSeconds: ReadonlyMap<string, number>;
  readonly machineCpuSeconds: number;
  readonly database: DatabaseLoad;
  readonly storeCalls: number;
}

export interface LoadPerFile {
  /** By process. */
  readonly cpuMs: ReadonlyMap<string, number>;
  readonly statements: number;
  readonly commits: number;
  readonly syncs: number;
  readonly storeCalls: number;
  /** How much of a core the rest of the machine used meanwhile, %: what the figures had to live with. */
  readonly othersCpuPercent: number;
}

export async function readLoad(stations: Stations, processes: ReadonlyMap<string, number>): Promise<StationLoad> {
  const { requests } = await stations.blobs.stats();
  return {
    atMs: machineMs(),
    cpuSeconds: cpuOf(processes),
    machineCpuSeconds: machineCpuSeconds(),
    database: await stations.database.read(),
    storeCalls: Object.values(requests).reduce((sum, count) => sum + count, 0),
  };
}

export function loadPerFile(before: StationLoad, after: StationLoad, files: number): LoadPerFile {
  const per = (from: number, to: number) => (to - from) / Math.max(1, files);
  const cpuSeconds = new Map([...after.cpuSeconds].map(([name, seconds]) => [name, seconds - (before.cpuSeconds.get(name) ?? 0)]));
  const ours = [...cpuSeconds.values()].reduce((sum, seconds) => sum + seconds, 0);
  return {
    cpuMs: new Map([...cpuSeconds].map(([name, seconds]) => [name, per(0, seconds * 1000)])),
    statements: per(before.database.statements, after.database.statements),
    commits: per(before.database.commits, after.database.commits),
    syncs: per(before.database.syncs, after.database.syncs),
    storeCalls: per(before.storeCalls, after.storeCalls),
    othersCpuPercent: ((after.machineCpuSeconds - before.machineCpuSeconds - ours) * 100_000) / (after.atMs - before.atMs),
  };
}
