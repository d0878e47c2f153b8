import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Applier } from '@skiff/kube/apply';
import { systemClock } from '@skiff/kube/clock';
import { EventRecorder } from '@skiff/kube/events';
import { createKubeClient } from '@skiff/kube/http-kube-client';
import { Informer, type InformerProps } from '@skiff/kube/informer';
import type { KubeClient, Manifest } from '@skiff/kube/kube-client';
import { loadKubeTarget } from '@skiff/kube/kube-config';
import { KubeError } from '@skiff/kube/kube-error';
import { ConfigMaps, Deployments, Events, Leases, Namespaces, ServiceAccounts, Services } from '@skiff/kube/resource-type';
import { WorkQueue } from '@skiff/kube/work-queue';
import { silentLogger } from '@skiff/runtime/logger';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { startBlackholeProxy } from './blackhole-proxy.ts';

const CHANGES = 500;
const NAMESPACE = 'kube-test';

describe('against a real API server', () => {
  const { signal } = new AbortController();
  const call = { signal };
  let controlPlane: ControlPlane;
  let client: KubeClient;

  before(async () => {
    controlPlane = await startControlPlane();
    console.log(`control plane was up after ${controlPlane.startMs} ms`);
    client = createKubeClient(await loadKubeTarget({ kind: 'file', path: controlPlane.kubeconfigPath }));
    await client.apply(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }, call);
  });
  after(async () => {
    client?.close();
    await controlPlane?.stop();
  });

  const configMap = (name: string, data: Readonly<Record<string, string>>): Manifest => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: NAMESPACE, name, labels: { test: 'yes' } },
    data,
  });

  /** Runs `use` with a running informer and ends it. */
  async function withInformer(props: Partial<InformerProps>, use: (informer: Informer) => Promise<void>): Promise<void> {
    const stop = new AbortController();
    const informer = new Informer({
      client,
      type: ConfigMaps,
      namespace: NAMESPACE,
      labelSelector: 'test=yes',
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      ...props,
    });
    const run = informer.run(stop.signal);
    try {
      await informer.waitForSync(AbortSignal.timeout(30_000));
      await use(informer);
    } finally {
      stop.abort();
      await run;
    }
  }

  async function eventually(holds: () => boolean | Promise<boolean>, what: string, timeoutMs = 20_000): Promise<number> {
    const began = performance.now();
    while (!(await holds())) {
      if (performance.now() - began > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return performance.now() - began;
  }

  it('maps what the server really answers', async () => {
    const ref = { namespace: NAMESPACE, name: 'mapped' };
    const codeOf = (work: Promise<unknown>) =>
      work.then(
        () => 'none',
        (error: unknown) => (error instanceof KubeError ? error.code : String(error)),
      );
    assert.equal(await codeOf(client.get(ConfigMaps, ref, call)), 'notFound');
    const created = await client.create(ConfigMaps, configMap('mapped', {}), call);
    assert.equal(await codeOf(client.create(ConfigMaps, configMap('mapped', {}), call)), 'alreadyExists');
    const stale = { ...configMap('mapped', { a: '1' }), metadata: { ...ref, resourceVersion: created.metadata.resourceVersion } };
    await client.replace(ConfigMaps, stale, call);
    assert.equal(await codeOf(client.replace(ConfigMaps, stale, call)), 'conflict');
    assert.equal(await codeOf(client.delete(ConfigMaps, ref, { ...call, uid: 'another' })), 'conflict');
    assert.equal(await codeOf(client.apply(ConfigMaps, { ...configMap('mapped', {}), data: { 'bad key': 'x' } }, call)), 'invalid');
    await client.delete(ConfigMaps, ref, { ...call, ...(created.metadata.uid === undefined ? {} : { uid: created.metadata.uid }) });
    assert.match(await client.getRaw('/version', call), /v1\./);
  });

  it(`follows ${CHANGES} changes while watches are cut, and ends equal to the server`, async () => {
    const { hostname, port } = (await loadKubeTarget({ kind: 'file', path: controlPlane.kubeconfigPath })).server;
    const proxy = await startBlackholeProxy({ host: hostname, port: Number(port) });
    const yaml = controlPlane.kubeconfig.replace(`:${port}`, `:${proxy.port}`);
    const proxied = createKubeClient(await loadKubeTarget({ kind: 'content', yaml }));
    const timings = { silenceMs: 1_500, backOff: { minDelayMs: 50, maxDelayMs: 500 }, pageSize: 20 };
    const began = performance.now();
    try {
      await withInformer({ client: proxied, timings }, async (informer) => {
        const seen = new Map<string, number>();
        const queue = new WorkQueue({
          name: 'test',
          clock: systemClock,
          random: Math.random,
          logger: silentLogger,
          reconcile: async (key) => {
            seen.set(key, Number(Object(informer.store.get(key)?.data).n ?? -1));
            return undefined;
          },
        });
        informer.onKey((key) => queue.add(key));
        queue.start();
        const last = new Map<string, number>();
        for (let n = 0; n < CHANGES; n++) {
          const name = `c${n % 60}`;
          if (n % 40 === 39) proxy.cut();
          if (n === 150) proxy.swallow();
          if (n === 250) proxy.heal();
          if (n % 7 === 6 && last.get(name) !== undefined && last.get(name) !== -1) {
            await client.delete(ConfigMaps, { namespace: NAMESPACE, name }, call);
            last.set(name, -1);
          } else {
            await client.apply(ConfigMaps, configMap(name, { n: String(n) }), call);
            last.set(name, n);
          }
        }
        await eventually(() => [...last].every(([name, n]) => (seen.get(`${NAMESPACE}/${name}`) ?? -1) === n), 'every last state was reconciled', 30_000);
        const { items } = await client.listPage(ConfigMaps, { ...call, namespace: NAMESPACE, labelSelector: 'test=yes', limit: 0 });
        const versions = (objects: readonly { readonly metadata: { readonly name: string; readonly resourceVersion?: string } }[]) =>
          objects.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`).sort();
        assert.deepEqual(versions(informer.store.list()), versions(items));
        console.log(`${CHANGES} changes in ${Math.round(performance.now() - began)} ms, ${JSON.stringify(informer.status)}`);
        await queue.stop(1_000);
      });
    } finally {
      proxied.close();
      await proxy.stop();
    }
  });

  it('notices a blackholed watch within its time, and misses nothing', async () => {
    const { hostname, port } = (await loadKubeTarget({ kind: 'file', path: controlPlane.kubeconfigPath })).server;
    const proxy = await startBlackholeProxy({ host: hostname, port: Number(port) });
    const proxied = createKubeClient(await loadKubeTarget({ kind: 'content', yaml: controlPlane.kubeconfig.replace(`:${port}`, `:${proxy.port}`) }));
    try {
      await withInformer({ client: proxied, timings: { silenceMs: 1_000, backOff: { minDelayMs: 50, maxDelayMs: 500 } } }, async (informer) => {
        for (let round = 0; round < 3; round++) {
          await eventually(() => informer.status.watching, 'watch is open');
          proxy.swallow();
          await client.apply(ConfigMaps, configMap('blackholed', { round: String(round) }), call);
          proxy.heal();
          const tookMs = await eventually(() => Object(informer.store.get(`${NAMESPACE}/blackholed`)?.data).round === String(round), 'change is seen', 5_000);
          assert.ok(tookMs < 2_500, `${tookMs} ms`);
        }
        assert.equal(informer.status.lists, 1);
      });
    } finally {
      proxied.close();
      await proxy.stop();
    }
  });

  it('applies real objects once, and repairs a change by hand', async () => {
    const labels = { app: 'x' };
    const metadata = { namespace: NAMESPACE, name: 'applied', labels };
    const wanted: readonly (readonly [typeof Deployments, Manifest])[] = [
      [ServiceAccounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false }],
      [ConfigMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { a: '1' } }],
      [
        Services,
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata,
          spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', selector: labels, ports: [{ name: 'sftp', port: 22, targetPort: 2222 }] },
        },
      ],
      [
        Deployments,
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata,
          spec: {
            replicas: 2,
            selector: { matchLabels: labels },
            template: {
              metadata: { labels },
              spec: {
                securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
                containers: [
                  {
                    name: 'main',
                    image: 'x',
                    args: ['sftp-server'],
                    env: [],
                    ports: [{ name: 'sftp', containerPort: 2222 }],
                    resources: { limits: { memory: '0.5Gi', cpu: '1000m' } },
                    volumeMounts: [{ name: 'config', mountPath: '/etc/skiff', readOnly: true }],
                  },
                ],
                volumes: [{ name: 'config', configMap: { name: 'applied' } }],
              },
            },
          },
        },
      ],
    ];
    const applier = new Applier(client);
    for (const [type, desired] of wanted) {
      const ref = { namespace: NAMESPACE, name: 'applied' };
      const first = await applier.apply({ type, desired, actual: undefined }, call);
      assert.equal(first.written, true);
      // Other controllers write to it meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 300));
      for (let i = 0; i < 3; i++) {
        const actual = await client.get(type, ref, call);
        assert.equal((await applier.apply({ type, desired, actual }, call)).written, false, `${type.kind} is in its steady state`);
      }
      const { metadata: before } = await client.get(type, ref, call);
      const restarted = await new Applier(client).apply({ type, desired, actual: await client.get(type, ref, call) }, call);
      assert.equal(restarted.object.metadata.generation, before.generation);
      await client.mergePatch(type, ref, { metadata: { labels: { app: 'drifted' } } }, call);
      const repaired = await applier.apply({ type, desired, actual: await client.get(type, ref, call) }, call);
      assert.equal(repaired.written, true);
      assert.equal(repaired.object.metadata.labels?.app, 'x');
    }
  });

  it('writes Events that the server takes, as one series', async () => {
    const regarding = await client.apply(ConfigMaps, configMap('eventful', {}), call);
    const clock = { ...systemClock, nowMs: () => performance.now() * 1_000 };
    const recorder = new EventRecorder({ client, instance: 'test', clock, logger: silentLogger, signal });
    const event = { regarding, type: 'Normal', reason: 'Programmed', action: 'Program', note: 'in force' } as const;
    recorder.record(event);
    await new Promise((resolve) => setTimeout(resolve, 200));
    recorder.record(event);
    await eventually(async () => {
      const { items } = await client.listPage(Events, { ...call, namespace: NAMESPACE, limit: 0 });
      return items.some((item) => item.reason === 'Programmed' && Object(item.series).count === 2);
    }, 'event with a series');
    assert.equal(recorder.dropped, 0);
  });

  it('enters by the token of its service account, as a pod does', async () => {
    const name = 'pod';
    await client.apply(ServiceAccounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: NAMESPACE, name } }, call);
    const token = execFileSync(controlPlane.kubectl, ['--kubeconfig', controlPlane.kubeconfigPath, '-n', NAMESPACE, 'create', 'token', name], {
      encoding: 'utf8',
    });
    const { server, authorize } = await loadKubeTarget({ kind: 'file', path: controlPlane.kubeconfigPath });
    const directory = await mkdtemp(join(tmpdir(), 'skiff-service-account-'));
    try {
      await writeFile(join(directory, 'token'), token);
      await writeFile(join(directory, 'namespace'), NAMESPACE);
      await writeFile(join(directory, 'ca.crt'), String((await authorize()).tls.ca));
      const target = await loadKubeTarget({ kind: 'inCluster', host: server.hostname, port: server.port, directory });
      assert.equal(target.namespace, NAMESPACE);
      const pod = createKubeClient(target);
      assert.match(await pod.getRaw('/version', call), /gitVersion/);
      // Known, and allowed nothing.
      await assert.rejects(pod.get(ConfigMaps, { namespace: NAMESPACE, name: 'x' }, call), (error) => error instanceof KubeError && error.httpStatus === 403);
      pod.close();
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('hands the lease of a killed leader to another process within 20 s, and that of a stopped one at once', async () => {
    const candidates = new Map<string, ChildProcess>();
    const holder = async () =>
      Object((await client.get(Leases, { namespace: NAMESPACE, name: 'leader' }, call).catch(() => undefined))?.spec).holderIdentity as unknown;
    const launch = (name: string) => {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'candidate.ts'), controlPlane.kubeconfigPath, NAMESPACE, name], {
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      candidates.set(name, child);
    };
    try {
      launch('one');
      await eventually(async () => (await holder()) === 'one', 'first leader');
      launch('two');
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      candidates.get('one')?.kill('SIGKILL');
      const killedMs = await eventually(async () => (await holder()) === 'two', 'takeover', 20_000);
      launch('three');
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      candidates.get('two')?.kill('SIGTERM');
      const stoppedMs = await eventually(async () => (await holder()) === 'three', 'handover', 5_000);
      console.log(`takeover after SIGKILL ${Math.round(killedMs)} ms, handover after SIGTERM ${Math.round(stoppedMs)} ms`);
      // A leader writes its epoch after it took the lease; the last one may still be about to.
      const epochs: number[] = [];
      await eventually(async () => {
        const { items } = await client.listPage(ConfigMaps, { ...call, namespace: NAMESPACE, labelSelector: 'test=leader', limit: 0 });
        epochs.splice(0, Number.POSITIVE_INFINITY, ...items.map((item) => Number(Object(item.data).epoch)).sort());
        return items.length === 3;
      }, 'each leader wrote its epoch');
      assert.deepEqual(epochs, [0, 1, 2]);
    } finally {
      for (const child of candidates.values()) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
  });
});
