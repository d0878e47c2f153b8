import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OPERATION_STATES } from '@skiff/model/upload-state';
import { newOperationId } from '../testing/sample-operation.ts';
import { decide, type LockedRow, type Step } from './transition.ts';

const id = newOperationId();
const row = (changes: Partial<LockedRow>): LockedRow => ({ id, state: 'open', epoch: 3, owner: 'pod-1', sequence: null, adoption: null, ...changes });
const STEPS: readonly Step[] = ['committing', 'committed', 'abort', 'park', 'setPriorEtag'];

describe('transitions of an operation', () => {
  it('follow this table', () => {
    const table = Object.fromEntries(STEPS.map((step) => [step, OPERATION_STATES.map((state) => decide(step, { id, epoch: 3 }, row({ state })))]));
    assert.deepEqual(table, {
      //            open         committing   committed    published    aborted      refused
      committing: ['apply', 'done', 'displaced', 'displaced', 'displaced', 'displaced'],
      committed: ['displaced', 'apply', 'done', 'done', 'displaced', 'done'],
      abort: ['apply', 'apply', 'displaced', 'displaced', 'done', 'displaced'],
      park: ['apply', 'apply', 'displaced', 'displaced', 'displaced', 'displaced'],
      setPriorEtag: ['apply', 'apply', 'displaced', 'displaced', 'displaced', 'displaced'],
    });
  });

  it('are closed to every other epoch and to rows that are gone', () => {
    for (const step of STEPS) {
      for (const state of OPERATION_STATES) for (const epoch of [2, 4]) assert.equal(decide(step, { id, epoch }, row({ state })), 'displaced');
      assert.equal(decide(step, { id, epoch: 3 }, undefined), 'displaced');
    }
  });

  it('find a row that is parked already parked', () => {
    assert.equal(decide('park', { id, epoch: 3 }, row({ owner: null })), 'done');
  });
});
