import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EndpointSettings, EndpointSettingsError, parseEndpointSettings } from './endpoint-settings.ts';

const SETTINGS: EndpointSettings = {
  namespace: 'partners',
  name: 'main',
  port: 22,
  authenticationMethods: ['PublicKey'],
  allowedSourceRanges: null,
  storage: { kind: 'local', path: '/srv/files' },
  events: { kind: 'serviceBus', namespace: 'contoso.servicebus.windows.net', queue: 'files', endpoint: null },
  maxSessions: 500,
};

test('settings survive the way through a ConfigMap', () => {
  assert.deepEqual(parseEndpointSettings(JSON.stringify(SETTINGS)), SETTINGS);
});

test('a key of a newer operator is let through', () => {
  assert.equal(parseEndpointSettings(JSON.stringify({ ...SETTINGS, banner: 'Welcome' })).name, 'main');
});

test('what an older operator did not write, and types of events of a newer one, are let through', () => {
  assert.equal(parseEndpointSettings(JSON.stringify(SETTINGS)).eventTypes, undefined);
  const eventTypes = ['dev.skiff.file.uploaded', 'dev.skiff.something.later'];
  assert.deepEqual(parseEndpointSettings(JSON.stringify({ ...SETTINGS, eventTypes })).eventTypes, eventTypes);
});

test('a wrong field is named, and text that is not JSON is refused', () => {
  const wrong = JSON.stringify({ ...SETTINGS, port: 0 });
  assert.throws(
    () => parseEndpointSettings(wrong),
    (error) => error instanceof EndpointSettingsError && error.message.includes('/port'),
  );
  for (const text of ['', '{', 'null', '[]', '{}']) assert.throws(() => parseEndpointSettings(text), EndpointSettingsError);
});
