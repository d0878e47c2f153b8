import assert from 'node:assert/strict';
import { type Check, Checks } from '../../support/checks.ts';
import { Random } from '../../support/random.ts';
import type { OperatorRig } from '../operator-rig.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';

/** Runs a scenario. @throws {assert.AssertionError} with what it said, and its seed, when a check does not hold. */
export async function keepsItsPromises(rig: OperatorRig, scenario: Scenario, size: ScenarioContext['size']): Promise<readonly Check[]> {
  const seed = Date.now() % 2 ** 31;
  const checks = new Checks('operator');
  const said: string[] = [`seed ${seed}`];
  await scenario.run({ rig, checks, random: new Random(seed), size, progress: (line) => said.push(line) });
  assert.deepEqual(
    checks.all.filter(({ ok }) => !ok),
    [],
    said.join('\n'),
  );
  assert.ok(checks.ok);
  return checks.all;
}
