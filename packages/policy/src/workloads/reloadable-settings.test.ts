import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import { reloadSettings } from './reloadable-settings.ts';

const SETTINGS: EndpointSettings = {
  namespace: 'team',
  name: 'main',
  port: 2222,
  authenticationMethods: ['PublicKey'],
  allowedSourceRanges: null,
  storage: { kind: 'local', path: '/srv' },
  events: null,
  maxSessions: 500,
};

test('a running server takes over ranges, sessions and types of events, also when the choice of types is taken back', () => {
  const changed: EndpointSettings = { ...SETTINGS, allowedSourceRanges: [], eventTypes: ['dev.skiff.login.failed'], maxSessions: 1 };
  const running = reloadSettings(SETTINGS, changed);
  assert.deepEqual(running, changed);
  assert.deepEqual(reloadSettings(running, SETTINGS), SETTINGS);
});

test('for the rest it keeps to what it was started with', () => {
  const changed: EndpointSettings = { ...SETTINGS, port: 22, authenticationMethods: ['Password'], storage: { kind: 'local', path: '/other' } };
  assert.deepEqual(reloadSettings(SETTINGS, changed), SETTINGS);
});
