import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import { toStoreError } from './service-bus-error.ts';

function vendorError(code: string): Error {
  return Object.assign(new Error('vendor text'), { code });
}

describe('errors of Service Bus', () => {
  const cases = [
    ['UnauthorizedAccess', 'denied'],
    ['MessagingEntityNotFound', 'notFound'],
    ['MessagingEntityDisabled', 'unavailable'],
    ['MessageSizeExceeded', 'invalid'],
    ['QuotaExceeded', 'throttled'],
    ['ServiceBusy', 'throttled'],
    ['ServiceTimeout', 'unavailable'],
    ['MessageLockLost', 'conflict'],
    ['ECONNREFUSED', 'unavailable'],
  ] as const;
  for (const [vendorCode, code] of cases) {
    test(`${vendorCode} is ${code} and keeps the vendor's code and the cause`, () => {
      const cause = vendorError(vendorCode);
      const error = toStoreError(cause, 'publish');
      assert.deepEqual([error.code, error.vendorCode, error.cause], [code, vendorCode, cause]);
    });
  }

  test('takes the last of several errors that the SDK throws as one', () => {
    assert.equal(toStoreError(new AggregateError([vendorError('ServiceTimeout'), vendorError('ServiceBusy')]), 'publish').code, 'throttled');
  });

  test('is aborted when the signal has fired, whatever was thrown', () => {
    assert.equal(toStoreError(vendorError('ServiceBusy'), 'publish', AbortSignal.abort()).code, 'aborted');
  });

  test('leaves a StoreError as it is', () => {
    const error = new StoreError({ code: 'invalid', message: 'too large' });
    assert.equal(toStoreError(error, 'publish'), error);
  });
});
