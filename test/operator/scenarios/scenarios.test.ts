import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Random } from '../../faults/random.ts';
import { Checks } from '../../support/checks.ts';
import { OperatorRig } from '../operator-rig.ts';
import { SCENARIOS } from './scenarios.ts';

/** `test/operator/long.ts` runs them in full size. */
describe('the operator under faults, in short', () => {
  const short = SCENARIOS.filter(({ longOnly }) => longOnly !== true);
  let rig: OperatorRig;

  before(async () => {
    rig = await OperatorRig.start({ endpointNamespaces: short.flatMap(({ namespaces }) => namespaces), audited: true });
  });
  after(() => rig?.[Symbol.asyncDispose]());

  for (const scenario of short) {
    it(`keeps its promises: ${scenario.name}`, async () => {
      const seed = Date.now() % 2 ** 31;
      const checks = new Checks('operator');
      const said: string[] = [`seed ${seed}`];
      await scenario.run({ rig, checks, random: new Random(seed), size: 'short', progress: (line) => said.push(line) });
      assert.deepEqual(
        checks.all.filter(({ ok }) => !ok),
        [],
        said.join('\n'),
      );
      assert.ok(checks.ok);
    });
  }
});
