import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTargetFactory, UnusableTargetError } from './target-factory.ts';

describe('target factory', () => {
  const make = createTargetFactory({ addresses: { allow: [] }, userAgent: 'skiff/test', concurrency: 4 });

  const place = { namespace: 'team', name: 'r' };

  it('refuses a target of no known kind', () => {
    assert.throws(() => make({ name: 'x' }, place), UnusableTargetError);
  });

  it('passes the address policy on to HTTP targets', async () => {
    const target = make({ name: 'x', http: { url: 'http://127.0.0.1:9/' } }, place);
    const input = { eventId: 'e', event: undefined, body: Buffer.from('{}'), contentType: 'application/json', attempt: 1 };
    const outcome = await target.deliver(input, AbortSignal.timeout(5000));
    assert.equal(outcome.kind, 'rejected');
    await target.close();
  });
});
