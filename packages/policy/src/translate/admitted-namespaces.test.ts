import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SftpEndpoint, SftpEndpointSpec } from '@skiff/model/sftp-endpoint';
import { admitsNamespace, nameAsLabel } from './admitted-namespaces.ts';

const labels = { partners: { tier: 'gold', region: 'eu' }, apps: { tier: 'silver' } };
const labelsOf = (namespace: string) => new Map<string, Readonly<Record<string, string>>>(Object.entries(labels)).get(namespace);

function admitted(namespaces: NonNullable<SftpEndpointSpec['allowedUsers']>['namespaces']): readonly string[] {
  const metadata = { name: 'main', namespace: 'platform', uid: 'u', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };
  const spec = { storage: { local: { path: '/srv' } }, ...(namespaces === undefined ? {} : { allowedUsers: { namespaces } }) };
  const endpoint: SftpEndpoint = { apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpEndpoint', metadata, spec };
  return ['platform', 'partners', 'apps', 'unknown'].filter((namespace) => admitsNamespace(endpoint, namespace, labelsOf));
}

describe('admitsNamespace', () => {
  it("takes the endpoint's own namespace alone unless told otherwise", () => {
    assert.deepEqual(admitted(undefined), ['platform']);
    assert.deepEqual(admitted({}), ['platform']);
    assert.deepEqual(admitted({ from: 'Same' }), ['platform']);
  });

  it('takes every namespace for All', () => {
    assert.deepEqual(admitted({ from: 'All' }), ['platform', 'partners', 'apps', 'unknown']);
  });

  it('takes its own and what the selector matches for Selector, and nothing of a namespace it does not know', () => {
    assert.deepEqual(admitted({ from: 'Selector', selector: { matchLabels: { tier: 'gold' } } }), ['platform', 'partners']);
    assert.deepEqual(admitted({ from: 'Selector', selector: {} }), ['platform', 'partners', 'apps']);
    assert.deepEqual(admitted({ from: 'Selector' }), ['platform']);
  });

  it('knows the four operators of a label selector', () => {
    const by = (operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', key: string, values?: string[]) =>
      admitted({ from: 'Selector', selector: { matchExpressions: [{ key, operator, ...(values === undefined ? {} : { values }) }] } }).slice(1);
    assert.deepEqual(by('In', 'tier', ['gold', 'bronze']), ['partners']);
    assert.deepEqual(by('NotIn', 'tier', ['gold']), ['apps']);
    assert.deepEqual(by('NotIn', 'region', ['us']), ['partners', 'apps']);
    assert.deepEqual(by('Exists', 'region'), ['partners']);
    assert.deepEqual(by('DoesNotExist', 'region'), ['apps']);
    assert.deepEqual(by('Exists', 'constructor'), []);
  });

  it('needs all conditions of a selector to hold', () => {
    const selector = { matchLabels: { tier: 'gold' }, matchExpressions: [{ key: 'region', operator: 'In' as const, values: ['us'] }] };
    assert.deepEqual(admitted({ from: 'Selector', selector }), ['platform']);
  });

  it('lets a selector name namespaces where nothing but names is known', () => {
    assert.deepEqual(nameAsLabel('apps'), { 'kubernetes.io/metadata.name': 'apps' });
  });
});
