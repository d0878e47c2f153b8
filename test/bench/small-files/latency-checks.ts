import type { Checks } from '../../support/checks.ts';
import { LAST_EVENTS_MS, type LatencyFigures, measureLatency, percentile } from './measure-latency.ts';
import { type StationsOptions, startStations } from './stations.ts';

const WARM_UP_SECONDS = 10;
const SECONDS = 30;
const RATE_PER_SECOND = 100;

/**
 * From the answer to CLOSE until the application is called, while files of 4 KiB come at 100 a second over 20 sessions. The
 * limits are those of the first release, on 2 cores that all stations share.
 */
export async function addLatencyChecks(checks: Checks, options: StationsOptions & { readonly ratePerSecond?: number } = {}): Promise<void> {
  const { ratePerSecond = RATE_PER_SECOND } = options;
  const stations = await startStations(options);
  try {
    await stations.startRouter();
    const login = await stations.startServer();
    process.stderr.write(`  ${ratePerSecond} files of 4 KiB a second: ${WARM_UP_SECONDS} s to warm up, then ${SECONDS} s\n`);
    await measureLatency(stations, { ratePerSecond, login, seconds: WARM_UP_SECONDS });
    add(checks, await measureLatency(stations, { ratePerSecond, login, seconds: SECONDS }), ratePerSecond);
  } finally {
    await stations.stop();
  }
}

function add(checks: Checks, figures: LatencyFigures, ratePerSecond: number): void {
  if (figures.failure !== '') process.stderr.write(`  a file failed: ${figures.failure}\n`);
  checks.add('small files, rate', figures.achievedPerSecond, 'files/s', `>= ${0.95 * ratePerSecond}`);
  checks.add('small files, failed', figures.failed, 'files', '== 0');
  checks.add(`small files, events not there after ${LAST_EVENTS_MS / 1000} s`, figures.missing, 'events', '== 0');
  checks.add('small files, events repeated', figures.repeated, 'events');
  checks.add('CLOSE answered → target called, p50', percentile(figures.toTargetMs, 50), 'ms', '<= 50');
  checks.add('CLOSE answered → target called, p90', percentile(figures.toTargetMs, 90), 'ms');
  checks.add('CLOSE answered → target called, p99', percentile(figures.toTargetMs, 99), 'ms', '<= 500');
  checks.add('CLOSE answered → target called, max', percentile(figures.toTargetMs, 100), 'ms');
  for (const percent of [50, 99]) {
    checks.add(`file due → CLOSE answered, p${percent}`, percentile(figures.uploadMs, percent), 'ms');
    checks.add(`CLOSE → its answer, p${percent}`, percentile(figures.closeMs, percent), 'ms');
  }
  const { load } = figures;
  for (const [name, milliseconds] of load.cpuMs) checks.add(`CPU per file, ${name}`, milliseconds, 'ms');
  checks.add('CPU of everything else on the machine', load.othersCpuPercent, '% of a core');
  checks.add('SQL statements per file', load.statements, '');
  checks.add('transactions per file', load.commits, '');
  checks.add('disk syncs of the database per file', load.syncs, '');
  checks.add('calls to the store per file', load.storeCalls, '');
}
