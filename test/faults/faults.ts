/**
 * Breaks things on real parts and lets pure functions judge the recorded history: `faults.ts [--long] [--only NAME] [--seed N]`.
 * Figures go to `out/faults.json` (`out/faults-long.json`); the exit code says whether every promise held.
 */
import { parseArgs } from 'node:util';
import { Checks } from '../support/checks.ts';
import { Random } from '../support/random.ts';
import { type FaultRig, startFaultRig } from './fault-rig.ts';
import { crashPoints } from './scenarios/crash-points.ts';
import { directoryRenames } from './scenarios/directory-renames.ts';
import { nameChanges } from './scenarios/name-changes.ts';
import { blobFaults, DUPLICATE_WINDOW_MS, databaseDown, serviceBusDown } from './scenarios/outages.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { storm } from './scenarios/storm.ts';
import { twoWriters } from './scenarios/two-writers.ts';
import { zombies } from './scenarios/zombies.ts';

const SCENARIOS: readonly Scenario[] = [crashPoints, nameChanges, directoryRenames, zombies, twoWriters, blobFaults, databaseDown, serviceBusDown, storm];

const { values } = parseArgs({
  options: { long: { type: 'boolean', default: false }, only: { type: 'string', multiple: true }, seed: { type: 'string' } },
});
const chosen = SCENARIOS.filter((scenario) => values.only === undefined || values.only.includes(scenario.name));
if (chosen.length === 0) throw new RangeError(`no such scenario; there are: ${SCENARIOS.map((scenario) => scenario.name).join(', ')}`);
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const checks = new Checks(values.long ? 'faults-long' : 'faults');
let rig: FaultRig | undefined;
let ending: Promise<void> | undefined;

/** Ends everything this run has started, once. */
function end(): Promise<void> {
  ending ??= rig?.stop() ?? Promise.resolve();
  return ending;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.log(`${signal}: cleaning up`);
    void end().finally(() => process.exit(130));
  });
}

// A fault of the harness itself, in a part that nobody waits for yet: clean up all the same.
process.once('unhandledRejection', (error) => {
  console.error(error);
  void end().finally(() => process.exit(1));
});

console.log(`seed ${seed}`);
try {
  rig = await startFaultRig({ duplicateWindowMs: DUPLICATE_WINDOW_MS, targets: 2 });
  for (const [index, scenario] of chosen.entries()) {
    const startedAt = performance.now();
    console.log(`${scenario.name} (seed ${seed})`);
    const progress = (line: string) => console.log(`  ${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${line}`);
    await scenario.run({ rig, random: new Random(seed + index), checks, long: values.long, progress });
  }
} finally {
  await end();
}
process.exitCode = checks.finish() ? 0 : 1;
