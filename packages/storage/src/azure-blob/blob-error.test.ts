import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoreErrorCode } from '@skiff/model/store-error';
import { blobError, connectionError } from './blob-error.ts';

const answer = (status: number, errorCode?: string, retryAfter?: string) => ({ operation: 'Put Block', status, errorCode, requestId: undefined, retryAfter });

const cases: readonly (readonly [number, string | undefined, StoreErrorCode])[] = [
  [404, 'BlobNotFound', 'notFound'],
  [404, 'ContainerNotFound', 'unavailable'],
  [409, 'BlobAlreadyExists', 'conflict'],
  [409, 'SnapshotsPresent', 'unsupported'],
  [412, 'ConditionNotMet', 'conflict'],
  [412, 'LeaseIdMissing', 'denied'],
  [400, 'InvalidBlockList', 'invalid'],
  [401, 'InvalidAuthenticationInfo', 'denied'],
  [403, 'AuthorizationPermissionMismatch', 'denied'],
  [408, undefined, 'unavailable'],
  [429, undefined, 'throttled'],
  [500, 'InternalError', 'unavailable'],
  [500, 'OperationTimedOut', 'unavailable'],
  [503, 'ServerBusy', 'throttled'],
  [502, undefined, 'unavailable'],
  [301, undefined, 'unavailable'],
];
for (const [status, errorCode, code] of cases) {
  test(`${status} ${errorCode ?? ''} is ${code} and keeps the vendor's code`, () => {
    const error = blobError(answer(status, errorCode));
    assert.deepEqual([error.code, error.vendorCode], [code, errorCode ?? `Http${status}`]);
  });
}

test('Retry-After is read as seconds or a date, bounded, and ignored when it is neither', () => {
  assert.equal(blobError(answer(503, undefined, '3')).retryAfterMs, 3000);
  assert.equal(blobError(answer(503, undefined, '86400')).retryAfterMs, 300_000);
  const inTen = blobError(answer(503, undefined, new Date(Date.now() + 10_000).toUTCString())).retryAfterMs ?? 0;
  assert.ok(inTen > 8000 && inTen <= 10_000);
  assert.equal(blobError(answer(503, undefined, new Date(0).toUTCString())).retryAfterMs, 0);
  assert.equal(blobError(answer(503, undefined, 'soon')).retryAfterMs, undefined);
});

test('a broken connection is unavailable with the code of the system', () => {
  const error = connectionError('Put Block', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  assert.deepEqual([error.code, error.vendorCode], ['unavailable', 'ECONNRESET']);
});
