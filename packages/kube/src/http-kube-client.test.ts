import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { StoreErrorCode } from '@skiff/model/store-error';
import { createKubeClient } from './http-kube-client.ts';
import { ANSWER_TOO_LARGE, MAX_ANSWER_BYTES } from './http-transport.ts';
import type { KubeClient } from './kube-client.ts';
import { loadKubeTarget } from './kube-config.ts';
import { isExpired, KubeError } from './kube-error.ts';
import { ConfigMaps, Namespaces } from './resource-type.ts';
import { configMap } from './testing/configmap.ts';
import { type FakeApiServer, type Fault, faults, startFakeApiServer } from './testing/fake-api-server.ts';

describe('kube client', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  const { signal } = new AbortController();
  const ref = { namespace: 'a', name: 'one' };

  beforeEach(async () => {
    server = await startFakeApiServer();
    client = createKubeClient(await loadKubeTarget({ kind: 'content', yaml: server.kubeconfig }));
    server.put(ConfigMaps, configMap('a', 'one'));
  });
  afterEach(async () => {
    client.close();
    await server.stop();
  });

  async function failure(work: Promise<unknown>): Promise<KubeError> {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof KubeError, String(error));
    return error;
  }

  const answers: readonly (readonly [number, string, StoreErrorCode])[] = [
    [400, 'BadRequest', 'invalid'],
    [401, 'Unauthorized', 'denied'],
    [403, 'Forbidden', 'denied'],
    [404, 'NotFound', 'notFound'],
    [409, 'Conflict', 'conflict'],
    [409, 'AlreadyExists', 'alreadyExists'],
    [410, 'Expired', 'conflict'],
    [415, 'UnsupportedMediaType', 'unsupported'],
    [422, 'Invalid', 'invalid'],
    [429, 'TooManyRequests', 'throttled'],
    [500, 'InternalError', 'unavailable'],
    [503, 'ServiceUnavailable', 'unavailable'],
    [504, 'Timeout', 'unavailable'],
  ];
  for (const [status, reason, code] of answers) {
    it(`calls ${status} ${reason} ${code}`, async () => {
      server.inject('get', faults.status(status, reason, 3));
      const error = await failure(client.get(ConfigMaps, ref, { signal }));
      assert.deepEqual([error.code, error.httpStatus, error.vendorCode, error.retryAfterMs], [code, status, reason, 3_000]);
      assert.equal(isExpired(error), status === 410);
    });
  }

  const silences: Readonly<Record<string, Fault>> = {
    'no answer': faults.hang(),
    'an answer that stops': faults.raw(['{"kind":'], 'hang'),
  };
  for (const [name, fault] of Object.entries(silences)) {
    it(`gives up on ${name} after its timeout, and works on`, async () => {
      server.inject('get', fault);
      assert.equal((await failure(client.get(ConfigMaps, ref, { signal, timeoutMs: 50 }))).code, 'unavailable');
      assert.equal((await client.get(ConfigMaps, ref, { signal })).metadata.name, 'one');
    });

    it(`gives up on ${name} when the caller does`, async () => {
      server.inject('get', fault);
      assert.equal((await failure(client.get(ConfigMaps, ref, { signal: AbortSignal.timeout(50) }))).code, 'aborted');
    });
  }

  it('calls an unreachable server unavailable', async () => {
    await server.stop();
    assert.equal((await failure(client.get(ConfigMaps, ref, { signal }))).code, 'unavailable');
  });

  it('refuses an answer above the bound', async () => {
    const half = Buffer.alloc(MAX_ANSWER_BYTES / 2 + 1, ' ');
    server.inject('get', faults.raw([half, half], 'end'));
    assert.equal((await failure(client.get(ConfigMaps, ref, { signal }))).vendorCode, ANSWER_TOO_LARGE);
  });

  it('asks the fence again once the connection is there', async () => {
    for (const holdsFor of [0, 1, 2]) {
      // A connection of its own each time: the last one is not kept.
      const fresh = createKubeClient(await loadKubeTarget({ kind: 'content', yaml: server.kubeconfig }));
      let asked = 0;
      const fence = {
        assertHeld() {
          if (asked++ >= holdsFor) throw new KubeError({ code: 'aborted', httpStatus: 0, message: 'not the leader' });
        },
      };
      try {
        const work = fresh.create(ConfigMaps, configMap('a', `held-${holdsFor}`), { signal, fence });
        if (holdsFor === 2) await work;
        else assert.equal((await failure(work)).code, 'aborted');
        const found = await fresh.get(ConfigMaps, { namespace: 'a', name: `held-${holdsFor}` }, { signal }).then(
          () => true,
          () => false,
        );
        assert.equal(found, holdsFor === 2);
      } finally {
        fresh.close();
      }
    }
  });

  it('sends nothing when the fence does not hold', async () => {
    const before = server.requests.length;
    const fence = {
      assertHeld: () => {
        throw new KubeError({ code: 'aborted', httpStatus: 0, message: 'not the leader' });
      },
    };
    assert.equal((await failure(client.create(ConfigMaps, configMap('a', 'two'), { signal, fence }))).code, 'aborted');
    assert.equal(server.requests.length, before);
  });

  it('refuses a namespace for a cluster-wide type, and a namespaced one without', async () => {
    await assert.rejects(client.get(Namespaces, ref, { signal }), RangeError);
    await assert.rejects(client.get(ConfigMaps, { name: 'one' }, { signal }), RangeError);
  });

  it('escapes names, so that none reaches another path', async () => {
    server.inject('get', faults.status(404, 'NotFound'));
    await failure(client.get(ConfigMaps, { namespace: 'a', name: '../../secrets/x' }, { signal }));
    assert.equal(server.requests.at(-1), 'GET /api/v1/namespaces/a/configmaps/..%2F..%2Fsecrets%2Fx');
  });

  it('refuses a kubeconfig without a cluster, or that is none', async () => {
    for (const yaml of ['{}', ': :', '']) {
      await assert.rejects(loadKubeTarget({ kind: 'content', yaml }), (error) => error instanceof KubeError && error.code === 'invalid');
    }
  });
});
