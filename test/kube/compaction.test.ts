import assert from 'node:assert/strict';
import { it } from 'node:test';
import { systemClock } from '@skiff/kube/clock';
import { createKubeClient } from '@skiff/kube/http-kube-client';
import { Informer } from '@skiff/kube/informer';
import { loadKubeTarget } from '@skiff/kube/kube-config';
import { ConfigMaps } from '@skiff/kube/resource-type';
import { silentLogger } from '@skiff/runtime/logger';
import { withControlPlane } from '../cluster/control-plane.ts';
import { startBlackholeProxy } from './blackhole-proxy.ts';

it('learns of changes and deletions that a real API server has compacted away, by 410 and a list', async () => {
  // Without its cache the API server asks etcd, which answers 410 as soon as it has compacted.
  const apiServerArgs = ['--watch-cache=false', '--etcd-compaction-interval=1s'];
  await withControlPlane(
    async ({ kubeconfig }) => {
      const { port } = (await loadKubeTarget({ kind: 'content', yaml: kubeconfig })).server;
      const proxy = await startBlackholeProxy({ host: '127.0.0.1', port: Number(port) });
      const client = createKubeClient(await loadKubeTarget({ kind: 'content', yaml: kubeconfig }));
      const proxied = createKubeClient(await loadKubeTarget({ kind: 'content', yaml: kubeconfig.replace(`:${port}`, `:${proxy.port}`) }));
      const stop = new AbortController();
      const call = { signal: stop.signal };
      const timings = { silenceMs: 500, backOff: { minDelayMs: 50, maxDelayMs: 200 } };
      const informer = new Informer({
        client: proxied,
        type: ConfigMaps,
        namespace: 'default',
        timings,
        clock: systemClock,
        random: Math.random,
        logger: silentLogger,
      });
      const put = (name: string, n: number) =>
        client.apply(ConfigMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'default', name }, data: { n: String(n) } }, call);
      for (let i = 0; i < 10; i++) await put(`c${i}`, 0);
      const run = informer.run(stop.signal);
      try {
        await informer.waitForSync(AbortSignal.timeout(10_000));
        const keys = new Set<string>();
        informer.onKey((key) => keys.add(key));
        keys.clear();
        proxy.swallow();
        for (let i = 0; i < 5; i++) await client.delete(ConfigMaps, { namespace: 'default', name: `c${i}` }, call);
        for (let n = 1; n < 8; n++) {
          await put('c5', n);
          await new Promise((resolve) => setTimeout(resolve, 700));
        }
        const before = informer.status.lists;
        proxy.heal();
        proxy.cut();
        const end = performance.now() + 10_000;
        while (performance.now() < end && (informer.store.get('default/c0') !== undefined || Object(informer.store.get('default/c5')?.data).n !== '7'))
          await new Promise((resolve) => setTimeout(resolve, 20));
        for (let i = 0; i < 5; i++) assert.equal(informer.store.get(`default/c${i}`), undefined);
        assert.deepEqual(
          [...keys].sort(),
          ['c0', 'c1', 'c2', 'c3', 'c4', 'c5'].map((name) => `default/${name}`),
        );
        assert.equal(informer.status.lists, before + 1, 'by a list: a watch could not know');
      } finally {
        stop.abort();
        await run;
        client.close();
        proxied.close();
        await proxy.stop();
      }
    },
    { apiServerArgs },
  );
});
