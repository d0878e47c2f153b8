import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseResource } from './parse-resource.ts';

const metadata = { name: 'anna', namespace: 'team', uid: 'u-1', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };

function user(spec: Record<string, unknown>): Record<string, unknown> {
  return { apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpUser', metadata, spec: { endpointRef: { name: 'main' }, username: 'anna', ...spec } };
}
function endpoint(spec: Record<string, unknown>): Record<string, unknown> {
  return { apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpEndpoint', metadata, spec: { storage: { local: { path: '/srv' } }, ...spec } };
}
function route(spec: Record<string, unknown>): Record<string, unknown> {
  const targets = [{ name: 'app', http: { url: 'https://app.example/in' } }];
  return { apiVersion: 'skiff.dev/v1alpha1', kind: 'EventRoute', metadata, spec: { endpointRef: { name: 'main' }, targets, ...spec } };
}
function errorsOf(value: unknown): readonly string[] {
  const parsed = parseResource(value);
  return parsed.ok ? [] : parsed.errors;
}

describe('parseResource', () => {
  it('accepts one object of each kind and returns the very same object, without defaults', () => {
    for (const value of [user({}), endpoint({}), route({})]) {
      const before = structuredClone(value);
      const parsed = parseResource(value);
      assert.ok(parsed.ok, JSON.stringify(parsed));
      assert.equal(parsed.resource, value);
      assert.deepEqual(parsed.resource, before);
    }
  });

  it('accepts what an API server adds to metadata, and a status', () => {
    const value = { ...user({}), metadata: { ...metadata, managedFields: [{ manager: 'kubectl' }], labels: { a: 'b' } }, status: { conditions: [] } };
    assert.deepEqual(errorsOf(value), []);
  });

  const refusals: readonly [string, unknown, RegExp, string][] = [
    [
      'a misspelt field, with the field that was meant',
      user({ authorizedKey: [] }),
      /^unknown field spec\.authorizedKey, did you mean authorizedKeys\?$/,
      'spec.authorizedKey',
    ],
    [
      'an unknown field deep inside',
      route({ targets: [{ name: 'a', http: { url: 'http://x/', retries: 1 } }] }),
      /^unknown field spec\.targets\[0\]\.http\.retries, known here: url/,
      'spec.targets.0.http.retries',
    ],
    ['an unknown field beside spec', { ...user({}), sepc: {} }, /did you mean spec\?/, 'sepc'],
    ['a missing field', endpoint({ storage: undefined }), /^spec\.storage is required\. Where files live/, 'spec.storage'],
    ['a number for a text', user({ username: 7 }), /^spec\.username must be of type string, not number; put it in quotes$/, 'spec.username'],
    ['null for an object', endpoint({ service: null }), /^spec\.service must be of type object, not null$/, 'spec.service'],
    ['a username that climbs', user({ username: '../anna' }), /^spec\.username is not valid: "\.\.\/anna"\. Login name/, 'spec.username'],
    ['a time without a zone', user({ expiresAt: '2027-01-01T00:00:00' }), /^spec\.expiresAt is not valid.*RFC 3339/, 'spec.expiresAt'],
    ['a day that does not exist', user({ expiresAt: '2027-02-30T00:00:00Z' }), /^spec\.expiresAt is not valid/, 'spec.expiresAt'],
    ['an unknown permission', user({ permissions: [{ path: '/', allow: ['Red'] }] }), /allow\[0\] must be one of List, Read/, 'spec.permissions.0.allow.0'],
    [
      'two keys of one name',
      user({
        authorizedKeys: [
          { name: 'a', publicKey: 'x' },
          { name: 'a', publicKey: 'y' },
        ],
      }),
      /authorizedKeys\[1\] has the same name as entry 0/,
      'spec.authorizedKeys.1',
    ],
    ['one range twice', user({ allowedSourceRanges: ['::1', '::1'] }), /allowedSourceRanges\[1\] has the same value/, 'spec.allowedSourceRanges.1'],
    [
      'two kinds of storage',
      endpoint({ storage: { local: { path: '/x' }, azureBlob: { account: 'abc', container: 'abc' } } }),
      /needs exactly one of azureBlob, local; it has azureBlob and local/,
      'spec.storage',
    ],
    ['no kind of storage', endpoint({ storage: {} }), /exactly one of azureBlob, local; it has none/, 'spec.storage'],
    [
      'a target of no kind',
      route({ targets: [{ name: 'a' }] }),
      /^spec\.targets\[0\] needs exactly one of http, amqp, mqtt, serviceBus; it has none$/,
      'spec.targets.0',
    ],
    ['an unknown kind', { kind: 'SftpUsr' }, /^kind must be one of/, 'kind'],
    ['another version', { ...user({}), apiVersion: 'skiff.dev/v1' }, /^apiVersion must be skiff\.dev\/v1alpha1/, 'apiVersion'],
  ];
  for (const [claim, value, message, path] of refusals) {
    it(`refuses ${claim}`, () => {
      const parsed = parseResource(value);
      assert.ok(!parsed.ok);
      assert.match(parsed.errors[0] ?? '', message);
      assert.equal(parsed.problems[0]?.path.join('.'), path);
    });
  }

  it('never throws and never accepts what is no object of ours', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => !parseResource(value).ok));
    fc.assert(
      fc.property(fc.jsonValue(), (spec) => {
        const parsed = parseResource({ ...user({}), spec });
        return !parsed.ok && parsed.errors.length > 0;
      }),
    );
  });

  it('does not mistake names of Object.prototype for fields', () => {
    assert.match(errorsOf({ ...user({}), spec: { endpointRef: { name: 'm' }, username: 'a', constructor: {} } })[0] ?? '', /^unknown field spec\.constructor/);
  });
});
