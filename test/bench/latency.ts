/**
 * The small-file part of `make bench` alone: `node test/bench/latency.ts [files a second] [directory for CPU profiles]`;
 * writes `out/latency.json`.
 */
import { Checks } from '../support/checks.ts';
import { addLatencyChecks } from './latency/latency-checks.ts';

process.on('SIGINT', () => process.exit(130));
const [rate = '100', profileDir] = process.argv.slice(2);
const checks = new Checks('latency');
await addLatencyChecks(checks, { ratePerSecond: Number(rate), ...(profileDir === undefined ? {} : { profileDir }) });
process.exitCode = checks.finish() ? 0 : 1;
