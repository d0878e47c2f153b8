import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTargetFactory, UnusableTargetError } from './target-factory.ts';

describe('target factory', () => {
  const make = createTargetFactory({ addresses: { allow: [] }, userAgent: 'skiff/test', concurrency: 4 });

  const place = { namespace: 'team', name: 'r' };

  it('refuses a target of no known kind', () => {
    assert.throws(() => make({ name: 'x' }, place), UnusableTargetError);
  });

  it('makes every kind of target, each under the address policy', async () => {
    const identity = { getToken: async () => ({ token: 't', expiresOnTimestamp: Date.now() + 3_600_000 }) };
    const withIdentity = createTargetFactory({ addresses: { allow: [] }, userAgent: 'skiff/test', concurrency: 4, azure: identity });
    const input = { eventId: 'e', event: undefined, body: Buffer.from('{}'), contentType: 'application/json', attempt: 1 };
    const made = [
      withIdentity({ name: 'a', amqp: { url: 'amqp://127.0.0.1:9', address: 'q' } }, place),
      withIdentity({ name: 'm', mqtt: { url: 'mqtt://127.0.0.1:9', topic: 't' } }, place),
      withIdentity({ name: 'h', http: { url: 'http://127.0.0.1:9/', authentication: { workloadIdentity: { scope: 's' } } } }, place),
    ];
    for (const target of made) {
      assert.equal((await target.deliver(input, AbortSignal.timeout(5000))).kind, 'rejected');
      await target.close();
    }
    const serviceBus = { namespace: 'skiff.servicebus.windows.net', queue: 'q' };
    assert.throws(() => withIdentity({ name: 's', serviceBus: { ...serviceBus, endpoint: 'sb://127.0.0.1:9' } }, place), { code: 'AddressRefused' });
    await withIdentity({ name: 's', serviceBus }, place).close();
  });

  it('refuses targets that need what this router was not given', () => {
    assert.throws(() => make({ name: 'f', http: { url: 'http://x.example/', body: 'file' } }, place), UnusableTargetError);
    assert.throws(
      () => make({ name: 'i', http: { url: 'http://x.example/', authentication: { workloadIdentity: { scope: 's' } } } }, place),
      UnusableTargetError,
    );
    assert.throws(() => make({ name: 's', serviceBus: { namespace: 'x.servicebus.windows.net', topic: 't' } }, place), UnusableTargetError);
  });

  it('passes the address policy on to HTTP targets', async () => {
    const target = make({ name: 'x', http: { url: 'http://127.0.0.1:9/' } }, place);
    const input = { eventId: 'e', event: undefined, body: Buffer.from('{}'), contentType: 'application/json', attempt: 1 };
    const outcome = await target.deliver(input, AbortSignal.timeout(5000));
    assert.equal(outcome.kind, 'rejected');
    await target.close();
  });
});
