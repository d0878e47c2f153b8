import assert from 'node:assert/strict';
import { it } from 'node:test';
import { uploadedInput } from '../messaging/target-input.ts';
import { eventually } from '../support/eventually.ts';
import { route, startRouterRig, target } from './router-rig.ts';

const DEAD_ROWS = 5000;
const fast = { minBackoffSeconds: 1, maxBackoffSeconds: 1, timeoutSeconds: 1 };

it(`tries the deliveries of other targets again in time while ${DEAD_ROWS} older ones of a target that hangs are due`, async (t) => {
  const rig = await startRouterRig(t, (application) => [
    route('r', [target(application, 'dead', { ...fast, maxAttempts: 1000 }), target(application, 'app', { ...fast, maxAttempts: 10 })]),
  ]);
  rig.application.on('/dead', () => undefined);
  const park = (id: string, name: string) => ({
    endpointId: rig.endpointId,
    eventId: id,
    route: 'team/r',
    target: name,
    attempt: 1,
    dueInMs: 0,
    reason: 'HTTP 503',
    body: Buffer.from(JSON.stringify(uploadedInput(id).event)),
    contentType: 'application/cloudevents+json',
  });
  await rig.deliveries.park(Array.from({ length: DEAD_ROWS }, (_, index) => park(`old${index}`, 'dead')));
  await eventually('the dead target was tried often enough to be known', () => rig.application.callsTo('/dead').length >= 5, 20_000);
  for (let round = 0; round < 5; round++) {
    const begun = performance.now();
    const ids = Array.from({ length: 20 }, (_, index) => `new${round}-${index}`);
    await rig.deliveries.park(ids.map((id) => park(id, 'app')));
    await eventually('the others are delivered', () => rig.application.callsTo('/app').length === 20 * (round + 1), 20_000);
    const tookMs = performance.now() - begun;
    t.diagnostic(`round ${round}: 20 deliveries after ${tookMs.toFixed(0)} ms`);
    // 0.8 to 1.2 s measured; without passing over the target that hangs 4.5 s and more.
    assert.ok(tookMs < 3000, `${tookMs} ms`);
  }
  const triedBefore = rig.application.callsTo('/dead').length;
  await eventually('the dead target is still tried', () => rig.application.callsTo('/dead').length > triedBefore + 2, 20_000);
});
