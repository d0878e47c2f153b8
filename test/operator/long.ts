/**
 * The operator's promises on a real API server and a real MariaDB, in full size: `long.ts [--short] [--only NAME] [--seed N]`.
 * Figures go to `out/operator-long.json` (`out/operator.json` when short); the exit code says whether every promise held.
 */
import { parseArgs } from 'node:util';
import { Checks } from '../support/checks.ts';
import { Random } from '../support/random.ts';
import { OperatorRig } from './operator-rig.ts';
import { SCENARIOS } from './scenarios/scenarios.ts';

const { values } = parseArgs({
  options: { short: { type: 'boolean', default: false }, only: { type: 'string', multiple: true }, seed: { type: 'string' } },
});
const chosen = SCENARIOS.filter(({ name }) => values.only === undefined || values.only.includes(name));
if (chosen.length === 0) throw new RangeError(`no such scenario; there are: ${SCENARIOS.map(({ name }) => name).join(', ')}`);
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const checks = new Checks(values.short ? 'operator' : 'operator-long');
let rig: OperatorRig | undefined;

/** Ends what the scenario under way has started. */
async function end(): Promise<void> {
  const ending = rig;
  rig = undefined;
  await ending?.[Symbol.asyncDispose]();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.log(`${signal}: cleaning up`);
    void end().finally(() => process.exit(130));
  });
}

console.log(`seed ${seed}`);
for (const [index, scenario] of chosen.entries()) {
  const began = performance.now();
  console.log(scenario.name);
  const progress = (line: string) => console.log(`  ${((performance.now() - began) / 1_000).toFixed(0).padStart(4)} s  ${line}`);
  try {
    rig = await OperatorRig.start({ endpointNamespaces: scenario.namespaces, audited: true });
    await scenario.run({ rig, checks, random: new Random(seed + index), size: values.short ? 'short' : 'full', progress });
  } catch (error) {
    // The others are worth knowing all the same.
    console.error(error);
    checks.add(`${scenario.name}: ran to its end`, 0, '', '== 1');
  } finally {
    await end();
  }
}
process.exitCode = checks.finish() ? 0 : 1;
