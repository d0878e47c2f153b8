/** A candidate of an election, for tests that kill it: `candidate.ts KUBECONFIG NAMESPACE NAME`. */
import { systemClock } from '@skiff/kube/clock';
import { createKubeClient } from '@skiff/kube/http-kube-client';
import { loadKubeTarget } from '@skiff/kube/kube-config';
import { runElection } from '@skiff/kube/leader-election';
import { ConfigMaps } from '@skiff/kube/resource-type';
import { createLogger } from '@skiff/runtime/logger';

const [path = '', namespace = '', identity = ''] = process.argv.slice(2);
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
const client = createKubeClient(await loadKubeTarget({ kind: 'file', path }));
await runElection(
  {
    client,
    lease: { namespace, name: 'leader' },
    identity,
    clock: systemClock,
    random: Math.random,
    logger: createLogger({ level: 'warn', name: identity, stream: 'stderr' }),
  },
  async (leadership) => {
    const mark = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name: `led-by-${identity}`, labels: { test: 'leader' } },
      data: { epoch: String(leadership.epoch) },
    };
    await client.apply(ConfigMaps, mark, { signal: leadership.signal, fence: leadership });
    await new Promise<void>((resolve) => leadership.signal.addEventListener('abort', () => resolve(), { once: true }));
  },
  stop.signal,
);
client.close();
