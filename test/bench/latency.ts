/**
 * The small files' part of `make bench` alone: `node test/bench/latency.ts [files a second] [directory for CPU profiles]`;
 * writes `out/latency.json`.
 */
import { Checks } from '../support/checks.ts';
import { addLatencyChecks } from './small-files/latency-checks.ts';
import { addRouterChecks } from './small-files/router-checks.ts';

process.on('SIGINT', () => process.exit(130));
const [rate = '100', profileDir] = process.argv.slice(2);
const checks = new Checks('latency');
const options = profileDir === undefined ? {} : { profileDir };
await addLatencyChecks(checks, { ratePerSecond: Number(rate), ...options });
await addRouterChecks(checks, options);
process.exitCode = checks.finish() ? 0 : 1;
