import type { Checks } from '../../support/checks.ts';
import { type LatencyRigOptions, startLatencyRig } from './latency-rig.ts';
import { type LatencyFigures, measureLatency, percentile } from './measure-latency.ts';

const WARM_UP_SECONDS = 10;
const SECONDS = 30;
const RATE_PER_SECOND = 100;

/**
 * From the answer to CLOSE until the application is called, while files of 4 KiB come at 100 a second over 20 sessions. The
 * limits are those of the first release, on 2 cores that all stations share.
 */
export async function addLatencyChecks(checks: Checks, options: LatencyRigOptions & { readonly ratePerSecond?: number } = {}): Promise<void> {
  const { ratePerSecond = RATE_PER_SECOND } = options;
  const rig = await startLatencyRig(options);
  try {
    process.stderr.write(`  ${ratePerSecond} files of 4 KiB a second: ${WARM_UP_SECONDS} s to warm up, then ${SECONDS} s\n`);
    await measureLatency(rig, { ratePerSecond, seconds: WARM_UP_SECONDS });
    add(checks, await measureLatency(rig, { ratePerSecond, seconds: SECONDS }), ratePerSecond);
  } finally {
    await rig.stop();
  }
}

function add(checks: Checks, figures: LatencyFigures, ratePerSecond: number): void {
  if (figures.failure !== '') process.stderr.write(`  a file failed: ${figures.failure}\n`);
  checks.add('small files, rate', figures.achievedPerSecond, 'files/s', `>= ${0.95 * ratePerSecond}`);
  checks.add('small files, failed', figures.failed, 'files', '== 0');
  checks.add('small files, events lost', figures.lost, 'events', '== 0');
  checks.add('small files, events repeated', figures.repeated, 'events');
  checks.add('CLOSE answered → target called, p50', percentile(figures.toTargetMs, 50), 'ms', '<= 50');
  checks.add('CLOSE answered → target called, p90', percentile(figures.toTargetMs, 90), 'ms');
  checks.add('CLOSE answered → target called, p99', percentile(figures.toTargetMs, 99), 'ms', '<= 500');
  checks.add('CLOSE answered → target called, max', percentile(figures.toTargetMs, 100), 'ms');
  for (const percent of [50, 99]) {
    checks.add(`file due → CLOSE answered, p${percent}`, percentile(figures.uploadMs, percent), 'ms');
    checks.add(`CLOSE → its answer, p${percent}`, percentile(figures.closeMs, percent), 'ms');
  }
  for (const [name, milliseconds] of figures.cpuMsPerUpload) checks.add(`CPU per file, ${name}`, milliseconds, 'ms');
  checks.add('SQL statements per file', figures.statementsPerUpload, '');
  checks.add('transactions per file', figures.commitsPerUpload, '');
  checks.add('syncs of the database per file', figures.syncsPerUpload, '');
  checks.add('calls to the store per file', figures.storeCallsPerUpload, '');
}
