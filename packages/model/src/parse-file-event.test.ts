import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseFileEvent, parseSkiffEvent } from './parse-file-event.ts';

const event = {
  specversion: '1.0',
  id: 'skf-1',
  source: '/skiff/team/main',
  type: 'dev.skiff.file.uploaded',
  subject: 'in/x',
  time: '2026-01-01T00:00:00Z',
  datacontenttype: 'application/json',
  data: {
    operationId: '1',
    endpoint: { namespace: 'team', name: 'main' },
    username: 'anna',
    path: '/x',
    blob: { container: 'c', name: 'in/x', url: 'https://x' },
  },
};

describe('file event', () => {
  it('is recognised with and without attributes that are not known', () => {
    assert.equal(parseFileEvent(event), event);
    assert.ok(parseFileEvent({ ...event, traceparent: '00-1' }));
  });

  it('is told from a login, which is an event of ours as well', () => {
    const data = { endpoint: { namespace: 'team', name: 'main' }, username: 'anna', clientAddress: '192.0.2.1', method: 'Password', reason: 'PasswordWrong' };
    const login = { ...event, type: 'dev.skiff.login.failed', subject: 'anna', data };
    assert.equal(parseFileEvent(login), undefined);
    assert.equal(parseSkiffEvent(login), login);
    assert.equal(parseSkiffEvent(event), event);
    assert.equal(parseSkiffEvent({ ...login, type: 'dev.skiff.file.uploaded' }), undefined);
  });

  it('is none when a part is missing or of another type', () => {
    for (const key of Object.keys(event)) {
      assert.equal(parseFileEvent({ ...event, [key]: undefined }), undefined, key);
      assert.equal(parseFileEvent({ ...event, [key]: 1 }), undefined, key);
    }
    fc.assert(fc.property(fc.jsonValue(), (value) => parseFileEvent(value) === undefined));
  });
});
