import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { generateHostKey } from '@skiff/credentials/host-key';
import { passwordHashProblem } from '@skiff/credentials/password-hash';
import { readPublicKey } from '@skiff/credentials/ssh-public-key';
import type { Database } from '@skiff/database/connect';
import { createDeliveryHistory } from '@skiff/database/mysql-delivery-history';
import { createOperationLog } from '@skiff/database/mysql-operation-log';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { systemClock as kubeClock } from '@skiff/kube/clock';
import { createKubeClient } from '@skiff/kube/http-kube-client';
import type { KubeClient } from '@skiff/kube/kube-client';
import { loadKubeTarget } from '@skiff/kube/kube-config';
import { type Leadership, runElection } from '@skiff/kube/leader-election';
import { createKubernetesSink } from '@skiff/operator/kubernetes-sink';
import { createKubernetesSource } from '@skiff/operator/kubernetes-source';
import { createOperator, type OperatorWork } from '@skiff/operator/operator';
import { createSecretHostKeyStore } from '@skiff/operator/secret-host-key-store';
import { systemClock } from '@skiff/runtime/clock';
import { startHealthServer } from '@skiff/runtime/health';
import type { Logger } from '@skiff/runtime/logger';
import { createMetrics, type Metrics } from '@skiff/runtime/metrics';
import { ABANDONED_AFTER_MS, fencedDatabase, fencedRepository } from '../composition/fenced-repository.ts';
import { openConfiguredDatabase } from '../composition/open-database.ts';
import { type OperatorConfiguration, readOperatorConfiguration } from '../configuration/operator-configuration.ts';
import type { ModeContext } from './mode.ts';
import { untilSignalled } from './run-until-signal.ts';
import { migrateWhenReady } from './wait-for-database.ts';

const LEASE = 'skiff-operator';

interface OperatorParts {
  readonly settings: OperatorConfiguration;
  readonly client: KubeClient;
  readonly database: Database;
  readonly logger: Logger;
  readonly watched: Watched;
}

/** What the metrics ask for. */
interface Watched {
  leading: boolean;
  lastEventAgeMs: () => number;
  work: () => OperatorWork;
}

const NO_WORK: OperatorWork = { pending: 0, retrying: 0 };

/** `skiff operator`: turns the resources of a cluster into rows and workloads. Of all replicas one leads and writes, the others wait. */
export async function runOperator({ configuration, environment, logger }: ModeContext): Promise<number> {
  const settings = readOperatorConfiguration(environment, configuration);
  const stop = new AbortController();
  untilSignalled(logger).then(
    () => stop.abort(),
    () => stop.abort(),
  );
  const client = createKubeClient(await loadKubeTarget(settings.kube));
  const database = openConfiguredDatabase(configuration, logger, settings.databaseUrl, ABANDONED_AFTER_MS);
  const watched: Watched = { leading: false, lastEventAgeMs: () => 0, work: () => NO_WORK };
  const { healthPort: port } = configuration;
  const health = port === undefined ? undefined : await startHealthServer({ port, ready: {}, metrics: operatorMetrics(watched), logger });
  try {
    const identity = `${settings.podName}_${randomBytes(6).toString('hex')}`;
    const lease = { namespace: settings.serviceAccount.namespace, name: LEASE };
    const election = { client, lease, identity, clock: kubeClock, random: Math.random, logger };
    logger.info({ identity, lease: `${lease.namespace}/${lease.name}` }, 'operator running');
    await runElection(election, (leadership) => lead({ settings, client, database, logger, watched }, leadership), stop.signal);
  } finally {
    await health?.stop();
    client.close();
    await database.close();
  }
  return 0;
}

/** One stretch of leadership: everything is made anew, since another process may have led meanwhile. */
async function lead({ settings, client, database, logger, watched }: OperatorParts, leadership: Leadership): Promise<void> {
  const { signal } = leadership;
  const { serviceAccount, workloads, databaseUrl, podName } = settings;
  await migrateWhenReady({ database, logger, clock: systemClock }, signal);
  const writing = { client, fence: leadership, signal, serviceAccount, logger };
  const source = createKubernetesSource({ ...writing, instance: podName });
  const sink = createKubernetesSink({ ...writing, source, context: workloads, databaseUrl });
  const operator = createOperator({
    source,
    repository: fencedRepository(createResourceRepository(fencedDatabase(database, leadership)), leadership),
    sink,
    hostKeys: createSecretHostKeyStore({ ...writing, generate: generateHostKey }),
    credentials: { readPublicKey, passwordHashProblem },
    deliveries: createDeliveryHistory(database),
    outbox: createOperationLog(database),
    logger,
  });
  watched.leading = true;
  watched.lastEventAgeMs = () => source.lastEventAgeMs();
  watched.work = () => operator.work();
  try {
    await operator.start(signal);
    logger.info({ epoch: leadership.epoch, endpoints: source.endpoints().length, users: source.users().length }, 'leading');
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    watched.leading = false;
    watched.lastEventAgeMs = () => 0;
    watched.work = () => NO_WORK;
    await operator.stop();
    await sink.stop();
  }
}

function operatorMetrics(watched: Watched): Metrics {
  const metrics = createMetrics({ defaults: true });
  metrics.sampledGauge({ name: 'skiff_operator_leader', help: '1 in the process that leads.', read: () => (watched.leading ? 1 : 0) });
  metrics.sampledGauge({
    name: 'skiff_operator_watch_age_seconds',
    help: 'Time since the API server was last heard of on the quietest watch; alert above 180.',
    read: () => watched.lastEventAgeMs() / 1000,
  });
  metrics.sampledGauge({
    name: 'skiff_operator_work_pending',
    help: 'Parts of endpoints that are worked on or wait for it; in steady state 0.',
    read: () => watched.work().pending,
  });
  metrics.sampledGauge({
    name: 'skiff_operator_work_retrying',
    help: 'Parts of endpoints that failed and wait for their next attempt; conditions and log say why. Alert when it stays above 0.',
    read: () => watched.work().retrying,
  });
  return metrics;
}
