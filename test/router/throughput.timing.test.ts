import assert from 'node:assert/strict';
import { it } from 'node:test';
import { uploadedInput } from '../messaging/target-input.ts';
import { eventually } from '../support/eventually.ts';
import { route, startRouterRig, target } from './router-rig.ts';

const EVENTS = 5000;

it('delivers at least 1,000 events per second to one HTTP target and records them all', async (t) => {
  const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'app')])], { consumers: 64 });
  const messages = Array.from({ length: EVENTS }, (_, index) => ({
    messageId: `e${index}`,
    contentType: 'application/cloudevents+json',
    subject: '',
    properties: {},
    body: Buffer.from(JSON.stringify(uploadedInput(`e${index}`).event)),
  }));
  const begun = performance.now();
  await rig.bus.publisher.publish(messages, AbortSignal.timeout(5000));
  await eventually('all have come', () => rig.application.calls.length === EVENTS, 30_000);
  const perSecond = EVENTS / ((performance.now() - begun) / 1000);
  t.diagnostic(`${perSecond.toFixed(0)} deliveries/s`);
  assert.ok(perSecond >= 1000, `${perSecond.toFixed(0)}/s`);
  await eventually('all are recorded', async () => (await rig.row(`e${EVENTS - 1}`, 'app'))?.state === 'succeeded', 30_000);
  assert.equal(rig.bus.pending.length, 0);
});

it('calls the target within 50 ms of the event, at the median', async (t) => {
  const rig = await startRouterRig(t, (application) => [route('r', [target(application, 'app')])]);
  const waits: number[] = [];
  for (let index = 0; index < 100; index++) {
    const sentAt = performance.now();
    await rig.publish(`e${index}`);
    await eventually('it came', () => rig.application.calls.length === index + 1);
    waits.push((rig.application.calls[index]?.atMs ?? Number.NaN) - sentAt);
  }
  const median = waits.toSorted((a, b) => a - b)[50] ?? Number.NaN;
  t.diagnostic(`p50 ${median.toFixed(1)} ms`);
  assert.ok(median <= 50, `${median} ms`);
});
