import { after, before, describe, it } from 'node:test';
import { OperatorRig } from '../operator-rig.ts';
import { keepsItsPromises } from './keeps-its-promises.ts';
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
      await keepsItsPromises(rig, scenario, 'short');
    });
  }
});
