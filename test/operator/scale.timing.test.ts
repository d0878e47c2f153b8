import { after, before, it } from 'node:test';
import { OperatorRig } from './operator-rig.ts';
import { keepsItsPromises } from './scenarios/keeps-its-promises.ts';
import { steadyState } from './scenarios/steady-state.ts';

let rig: OperatorRig;
before(async () => {
  rig = await OperatorRig.start({ endpointNamespaces: steadyState.namespaces });
});
after(() => rig?.[Symbol.asyncDispose]());

it('4,000 users on a Kubernetes API are ready, then at rest, then changed one by one, within the limits of time, memory and writes', async () => {
  const checks = await keepsItsPromises(rig, steadyState, 'full');
  for (const { name, value, unit } of checks) console.log(`${name}: ${value} ${unit}`);
});
