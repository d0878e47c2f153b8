import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject } from '@skiff/kube/kube-object';
import { newerObject } from '../newer-object.ts';
import { evaluateReadiness } from './endpoint-readiness.ts';
import { ownershipOf } from './ownership.ts';

const service = (spec: object, status: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'skiff-main', namespace: 'team' },
  spec,
  status,
});
const balanced = service({ type: 'LoadBalancer' }, { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } });
const deployment = (status: object, generation = 2): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'skiff-main', namespace: 'team', generation },
  spec: { replicas: 2 },
  status,
});
const rolledOut = { observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2 };

function brief(...deployments: readonly KubeObject[]): string {
  const readiness = evaluateReadiness({ service: balanced, deployments });
  return readiness.kind === 'ready' ? `ready ${readiness.address}` : readiness.reason;
}

describe('evaluateReadiness', () => {
  it('is ready when every Deployment is rolled out and one pod of each serves', () => {
    assert.equal(brief(deployment(rolledOut)), 'ready 192.0.2.1');
    assert.equal(brief(deployment({ ...rolledOut, availableReplicas: 1 })), 'ready 192.0.2.1');
    assert.equal(brief(deployment(rolledOut), deployment({ ...rolledOut, availableReplicas: 0 })), 'Pending');
  });

  it('is pending while pods are replaced, and before Kubernetes has seen the change', () => {
    assert.equal(brief(deployment({})), 'Pending');
    assert.equal(brief(deployment({ ...rolledOut, observedGeneration: 1 })), 'Pending');
    assert.equal(brief(deployment({ ...rolledOut, updatedReplicas: 1 })), 'Pending');
    assert.equal(brief(deployment({ ...rolledOut, replicas: 3 })), 'Pending');
  });

  it('has failed when pods cannot be made, or are not ready in time', () => {
    for (const condition of [
      { type: 'ReplicaFailure', status: 'True', message: 'exceeded quota' },
      { type: 'Progressing', status: 'False', message: 'deadline exceeded' },
    ])
      assert.equal(brief(deployment({ ...rolledOut, conditions: [condition] })), 'WorkloadFailed');
  });

  it('waits for the address of a load balancer, and for that of no other Service', () => {
    const deployments = [deployment(rolledOut)];
    assert.equal(evaluateReadiness({ service: service({ type: 'LoadBalancer' }), deployments }).kind, 'notReady');
    assert.equal(evaluateReadiness({ service: undefined, deployments }).kind, 'notReady');
    assert.deepEqual(evaluateReadiness({ service: service({ type: 'ClusterIP' }), deployments }), { kind: 'ready', address: 'skiff-main.team.svc' });
    const named = service({ type: 'LoadBalancer' }, { loadBalancer: { ingress: [{ hostname: 'sftp.example' }] } });
    assert.deepEqual(evaluateReadiness({ service: named, deployments }), { kind: 'ready', address: 'sftp.example' });
  });
});

describe('ownershipOf', () => {
  const owner = { namespace: 'team', name: 'main', uid: 'u1' };
  const marks = { labels: { 'app.kubernetes.io/managed-by': 'skiff-operator' }, annotations: { 'skiff.dev/endpoint': 'main' } };
  const owned = (reference: object, metadata: object = marks): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x', ...metadata, ownerReferences: [{ apiVersion: 'v', kind: 'SftpEndpoint', name: 'main', uid: 'u1', controller: true, ...reference }] },
  });
  const loose = (metadata: object): KubeObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x', ...metadata } });

  it('goes by the controlling owner', () => {
    assert.equal(ownershipOf(owned({}), owner), 'ours');
    assert.equal(ownershipOf(owned({ uid: 'u0' }), owner), 'stale');
    assert.equal(ownershipOf(owned({ uid: 'u0', name: 'other' }), owner), 'foreign');
    assert.equal(ownershipOf(owned({ uid: 'u0', kind: 'Application' }), owner), 'foreign');
  });

  it('adopts what has no owner and bears both marks of this endpoint, and nothing else', () => {
    assert.equal(ownershipOf(loose(marks), owner), 'ours');
    assert.equal(ownershipOf(loose({ labels: marks.labels }), owner), 'foreign');
    assert.equal(ownershipOf(loose({ annotations: marks.annotations }), owner), 'foreign');
    assert.equal(ownershipOf(loose({ ...marks, annotations: { 'skiff.dev/endpoint': 'other' } }), owner), 'foreign');
  });
});

describe('newerObject', () => {
  const version = (resourceVersion: string, uid = 'u'): KubeObject => ({ apiVersion: 'v1', kind: 'X', metadata: { name: 'x', uid, resourceVersion } });

  it('prefers a write that the watch has not told of, and nothing to an object made anew', () => {
    const [old, fresh] = [version('9'), version('10')];
    assert.equal(newerObject(old, fresh), fresh);
    assert.equal(newerObject(fresh, old), fresh);
    assert.equal(newerObject(undefined, fresh), fresh);
    const anew = version('3', 'other');
    assert.equal(newerObject(anew, fresh), anew);
    const opaque = version('abc');
    assert.equal(newerObject(opaque, fresh), opaque);
  });
});
