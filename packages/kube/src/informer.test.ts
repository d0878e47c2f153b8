import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLogger } from '@skiff/runtime/logger';
import { systemClock } from './clock.ts';
import { createKubeClient } from './http-kube-client.ts';
import { Informer, type InformerProps } from './informer.ts';
import type { KubeClient } from './kube-client.ts';
import { loadKubeTarget } from './kube-config.ts';
import { ConfigMaps } from './resource-type.ts';
import { configMap } from './testing/configmap.ts';
import { eventually } from './testing/eventually.ts';
import { type FakeApiServer, type Fault, faults, startFakeApiServer } from './testing/fake-api-server.ts';

const REPEATS = 20;
const FAST = { backOff: { minDelayMs: 1, maxDelayMs: 20 }, pageSize: 7, watchMinMs: 60_000, watchMaxMs: 60_000 };

describe('informer', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  let stop: AbortController;
  let running: Promise<void>[];

  beforeEach(async () => {
    server = await startFakeApiServer();
    client = createKubeClient(await loadKubeTarget({ kind: 'content', yaml: server.kubeconfig }));
    stop = new AbortController();
    running = [];
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    client.close();
    await server.stop();
  });

  function start(props: Partial<InformerProps> = {}): { readonly informer: Informer; readonly keys: string[] } {
    const informer = new Informer({ client, type: ConfigMaps, clock: systemClock, random: Math.random, logger: silentLogger, timings: FAST, ...props });
    const keys: string[] = [];
    informer.onKey((key) => keys.push(key));
    running.push(informer.run(stop.signal));
    return { informer, keys };
  }

  /** Changes one object and waits until the informer has it: proof that it lives. */
  async function seesAChange(informer: Informer, mark: string): Promise<void> {
    server.put(ConfigMaps, configMap('a', 'probe', { mark }));
    await eventually(() => JSON.stringify(informer.store.get('a/probe')?.data) === JSON.stringify({ mark }), `change ${mark} is seen`);
  }

  it('lists in pages, then follows every change', async () => {
    for (let i = 0; i < 50; i++) server.put(ConfigMaps, configMap('a', `c${i}`));
    const { informer, keys } = start();
    await informer.waitForSync(stop.signal);
    assert.equal(informer.store.size, 50);
    assert.equal(server.requests.filter((line) => line.includes('limit=7')).length, 8);
    server.put(ConfigMaps, configMap('b', 'new'));
    server.remove(ConfigMaps, { namespace: 'a', name: 'c0' });
    await eventually(() => informer.store.size === 50 && informer.store.get('a/c0') === undefined, 'change and deletion');
    assert.deepEqual(keys.slice(-2), ['b/new', 'a/c0']);
    assert.deepEqual(
      informer.store.byNamespace('b').map((object) => object.metadata.name),
      ['new'],
    );
    assert.equal(informer.store.get('b/new')?.kind, 'ConfigMap');
  });

  it('gives a handler that comes later the keys that are there', async () => {
    server.put(ConfigMaps, configMap('a', 'one'));
    const { informer } = start();
    await informer.waitForSync(stop.signal);
    const late: string[] = [];
    const end = informer.onKey((key) => late.push(key));
    assert.deepEqual(late, ['a/one']);
    end();
    await seesAChange(informer, 'after');
    assert.deepEqual(late, ['a/one']);
  });

  it('delivers a key again to a handler that threw', async () => {
    const { informer } = start();
    await informer.waitForSync(stop.signal);
    let calls = 0;
    informer.onKey(() => {
      calls++;
      if (calls === 1) throw new Error('full');
    });
    await seesAChange(informer, 'x');
    await eventually(() => calls === 2, 'second delivery');
  });

  const listFaults: Readonly<Record<string, Fault>> = {
    '410': faults.status(410, 'Expired'),
    '429 with Retry-After': faults.status(429, 'TooManyRequests', 1),
    '500': faults.status(500, 'InternalError'),
    '403': faults.status(403, 'Forbidden'),
    '404': faults.status(404, 'NotFound'),
    'a reset': faults.reset(),
    'half an answer': faults.raw(['{"metadata":{"resourceVersion":"1"},"items":[{'], 'cut'),
    'malformed JSON': faults.raw(['<html>'], 'end'),
  };
  for (const [name, fault] of Object.entries(listFaults)) {
    it(`survives a list that meets ${name}, ${REPEATS} times in a row`, async () => {
      server.put(ConfigMaps, configMap('a', 'one'));
      server.inject('list', ...Array.from({ length: REPEATS }, () => fault));
      const { informer } = start();
      await informer.waitForSync(stop.signal);
      assert.equal(informer.store.size, 1);
      assert.equal(informer.status.lists, REPEATS + 1);
    });
  }

  const watchFaults: Readonly<Record<string, Fault>> = {
    '410 as a status': faults.status(410, 'Expired'),
    '410 as an event': faults.raw(['{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n'], 'end'),
    'another error event': faults.raw(['{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}}\n'], 'end'),
    '429 with Retry-After': faults.status(429, 'TooManyRequests', 1),
    '500': faults.status(500, 'InternalError'),
    '403': faults.status(403, 'Forbidden'),
    'a reset': faults.reset(),
    'half an event': faults.raw(['{"type":"ADDED","object":{"apiVersion":'], 'cut'),
    'half an event and a clean end': faults.raw(['{"type":"ADDED","object":{"apiVersion":'], 'end'),
    'malformed JSON': faults.raw(['{"type":"ADDED",,}\n'], 'hang'),
    'an event that is none': faults.raw(['{"type":"ADDED","object":{"metadata":{}}}\n'], 'hang'),
    'an immediate end': faults.raw([], 'end'),
  };
  for (const [name, fault] of Object.entries(watchFaults)) {
    it(`survives a watch that meets ${name}, ${REPEATS} times in a row, and misses nothing`, async () => {
      const { informer } = start();
      await informer.waitForSync(stop.signal);
      await eventually(() => server.openWatches === 1, 'watch');
      server.inject('watch', ...Array.from({ length: REPEATS }, () => fault));
      server.put(ConfigMaps, configMap('a', 'gone'));
      await eventually(() => informer.store.size === 1, 'object');
      server.cutWatches();
      server.remove(ConfigMaps, { namespace: 'a', name: 'gone' });
      await eventually(() => informer.status.failures > REPEATS && informer.status.watching, 'all faults met');
      await seesAChange(informer, name);
      assert.equal(informer.store.get('a/gone'), undefined);
    });
  }

  it('learns by the list what was deleted while its history was compacted', async () => {
    for (let i = 0; i < 20; i++) server.put(ConfigMaps, configMap('a', `c${i}`));
    const { informer, keys } = start();
    await informer.waitForSync(stop.signal);
    await eventually(() => server.openWatches === 1, 'watch');
    server.inject('watch', faults.reset(), faults.reset());
    server.cutWatches();
    for (let i = 0; i < 10; i++) server.remove(ConfigMaps, { namespace: 'a', name: `c${i}` });
    server.compact();
    keys.length = 0;
    await eventually(() => informer.store.size === 10, 'deletions');
    assert.deepEqual(
      [...keys].sort(),
      Array.from({ length: 10 }, (_, i) => `a/c${i}`),
    );
  });

  it('deletes nothing when a list fails between two pages', async () => {
    for (let i = 0; i < 20; i++) server.put(ConfigMaps, configMap('a', `c${i}`));
    const { informer, keys } = start();
    await informer.waitForSync(stop.signal);
    await eventually(() => server.openWatches === 1, 'watch');
    keys.length = 0;
    const firstPage = JSON.stringify({ metadata: { resourceVersion: '1', continue: '1:7' }, items: [configMap('a', 'c0')] });
    server.inject('list', faults.raw([firstPage], 'end'), faults.status(500, 'InternalError'));
    server.compact();
    server.cutWatches();
    await seesAChange(informer, 'after');
    assert.equal(informer.store.size, 21);
    assert.ok(!keys.some((key) => informer.store.get(key) === undefined), 'no key of a deleted object');
  });

  it('starts a list over when its page token has expired', async () => {
    for (let i = 0; i < 20; i++) server.put(ConfigMaps, configMap('a', `c${i}`));
    const stale = JSON.stringify({ metadata: { resourceVersion: '1', continue: '0:7' }, items: [] });
    server.compact();
    server.inject('list', faults.raw([stale], 'end'));
    const { informer } = start();
    await informer.waitForSync(stop.signal);
    assert.equal(informer.store.size, 20);
    assert.equal(informer.status.failures, 0);
  });

  it('notices a watch that went silent, and opens it again without a list', async () => {
    const { informer } = start({ timings: { ...FAST, silenceMs: 150 } });
    await informer.waitForSync(stop.signal);
    for (let i = 0; i < 3; i++) {
      await eventually(() => informer.status.watching, 'watch');
      server.muteWatches();
      const began = performance.now();
      await seesAChange(informer, `silence ${i}`);
      assert.ok(performance.now() - began < 1_000);
    }
    assert.equal(informer.status.lists, 1);
    assert.ok(informer.status.silences >= 3);
  });

  it('lists again when a watch ends and the last list is old', async () => {
    const { informer, keys } = start({ timings: { ...FAST, relistMs: 100 } });
    await informer.waitForSync(stop.signal);
    await eventually(() => informer.status.watching, 'watch');
    server.put(ConfigMaps, configMap('a', 'one'));
    await eventually(() => keys.length === 1, 'object');
    server.muteWatches();
    server.remove(ConfigMaps, { namespace: 'a', name: 'one' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    server.cutWatches();
    await eventually(() => informer.status.lists === 2, 'second list');
    await eventually(() => keys.length === 2, 'deletion');
    assert.deepEqual(keys, ['a/one', 'a/one']);
  });

  it('keeps a watch that only bookmarks arrive on', async () => {
    const { informer } = start({ timings: { ...FAST, silenceMs: 150 } });
    await informer.waitForSync(stop.signal);
    await eventually(() => informer.status.watching, 'watch');
    const ticker = setInterval(() => server.bookmark(), 30);
    await new Promise((resolve) => setTimeout(resolve, 600));
    clearInterval(ticker);
    assert.equal(informer.status.watches, 1);
    assert.ok(informer.status.lastEventAgeMs < 150);
  });

  it('goes on from the last bookmark after a cut', async () => {
    const { informer } = start();
    await informer.waitForSync(stop.signal);
    await eventually(() => informer.status.watching, 'watch');
    server.compact();
    server.bookmark();
    await eventually(() => informer.status.lastEventAgeMs < 50, 'bookmark');
    await seesAChange(informer, 'before');
    server.cutWatches();
    await seesAChange(informer, 'after');
    assert.equal(informer.status.lists, 1);
  });

  it('puts characters that were split between chunks together, and takes an object of a megabyte', async () => {
    const data = { text: `ä€😀${'x'.repeat(1 << 20)}😀` };
    const big = { ...configMap('a', 'big', data), metadata: { namespace: 'a', name: 'big', resourceVersion: '5', uid: 'u' } };
    const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: big })}\n`);
    const at = line.indexOf(Buffer.from('😀'));
    server.inject('watch', faults.raw([line.subarray(0, at + 1), line.subarray(at + 1, at + 3), line.subarray(at + 3)], 'hang'));
    const { informer } = start();
    await eventually(() => informer.store.size === 1, 'object');
    assert.deepEqual(informer.store.get('a/big')?.data, data);
  });

  it('ends only by its signal, and then at once, whatever it waits for', async () => {
    server.inject('list', faults.hang());
    const { informer } = start();
    await eventually(() => server.requests.length === 1, 'list');
    const began = performance.now();
    stop.abort();
    await Promise.all(running);
    assert.ok(performance.now() - began < 500);
    assert.equal(informer.hasSynced, false);
    await assert.rejects(informer.waitForSync(stop.signal));
  });
});
