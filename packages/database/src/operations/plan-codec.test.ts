import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { newOperationId, samplePlan } from '../testing/sample-operation.ts';
import { decodeEvent, decodePlan, encodePlan, finishEvent } from './plan-codec.ts';

const base = samplePlan(newOperationId(), '/x');

describe('plan codec', () => {
  it('gives back every plan as it was', async () => {
    const plans = fc.record({
      blocks: fc.array(fc.record({ id: fc.string({ unit: 'binary' }), sizeBytes: fc.nat() }, { noNullPrototype: true }), { maxLength: 200 }),
      sizeBytes: fc.maxSafeNat(),
      priorEtag: fc.option(fc.string()),
      metadata: fc.dictionary(
        fc.string({ unit: 'grapheme' }).filter((key) => key !== '__proto__'),
        fc.string({ unit: 'grapheme' }),
        { noNullPrototype: true },
      ),
    });
    await fc.assert(
      fc.asyncProperty(plans, fc.option(fc.string(), { nil: undefined }), async (parts, sourceEtag) => {
        const plan = { ...base, ...parts, ...(sourceEtag === undefined ? {} : { sourceEtag }) };
        const stored = await encodePlan(plan);
        assert.deepEqual(await decodePlan(stored.plan, stored.event), plan);
      }),
    );
  });

  it('refuses bytes that it has not made', async () => {
    const { plan, event } = await encodePlan(base);
    for (const wrong of ['{}', '{"blocks":[1],"sizeBytes":1,"priorEtag":null,"metadata":{}}', '{"blocks":[],"sizeBytes":"1","priorEtag":null,"metadata":{}}']) {
      await assert.rejects(decodePlan(Buffer.from(wrong), event), { code: 'invalid', vendorCode: 'ROW_UNREADABLE' });
    }
    await assert.rejects(decodePlan(plan, Buffer.from('{"specversion":"1.0"}')), { code: 'invalid', vendorCode: 'ROW_UNREADABLE' });
  });

  it('adds to the event only what the commit found out', () => {
    const event = decodeEvent(Buffer.from(JSON.stringify(base.event)));
    assert.deepEqual(finishEvent(event, { sequence: '18446744073709551615', etag: null, unconfirmed: false }), {
      ...base.event,
      sequence: '18446744073709551615',
    });
  });
});
