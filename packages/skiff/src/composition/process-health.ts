import type { OutboxStatus } from '@skiff/database/operation-log';
import { type BackgroundTask, startBackgroundTask } from '@skiff/runtime/background-task';
import { startHealthServer } from '@skiff/runtime/health';
import type { Logger } from '@skiff/runtime/logger';
import { createMetrics, type Metrics } from '@skiff/runtime/metrics';
import type { ProcessParts } from './process-parts.ts';

const OUTBOX_EVERY_MS = 5_000;

export interface ProcessHealth {
  /** Adds metrics of what has started meanwhile. */
  watch(watched: Watched): void;
  /** From now on `/readyz` answers 200, until `drain`. */
  ready(): void;
  /** Takes the process out of its Service while sessions go on. */
  drain(): void;
  stop(): Promise<void>;
}

/** What an SFTP server is watched by. */
export interface Watched {
  readonly sessions: () => number;
  /** Events that wait for the bus, and those that it refused. */
  readonly outbox: () => Promise<OutboxStatus>;
}

/**
 * Serves probes and metrics where `SKIFF_HEALTH_PORT` is set. To be started before anything is waited for: a process that waits for its
 * database is alive and not ready, and restarting it would help nobody.
 */
export async function startProcessHealth(parts: ProcessParts): Promise<ProcessHealth> {
  const { configuration, logger, budget } = parts;
  let state: string | undefined = 'starting';
  const metrics = createMetrics({ defaults: true });
  metrics.sampledGauge({ name: 'skiff_transfer_memory_free_bytes', help: 'Bytes of the transfer budget that nobody holds.', read: () => budget.freeBytes });
  let task: BackgroundTask | undefined;
  const { healthPort } = configuration;
  const server = healthPort === undefined ? undefined : await startHealthServer({ port: healthPort, ready: { process: () => state }, metrics, logger });
  return {
    watch({ sessions, outbox }) {
      metrics.sampledGauge({ name: 'skiff_sftp_sessions', help: 'Live SFTP sessions of this process.', read: sessions });
      task = watchOutbox(metrics, outbox, logger);
    },
    ready() {
      state = undefined;
    },
    drain() {
      state = 'draining';
    },
    async stop() {
      await task?.stop();
      await server?.stop();
    },
  };
}

function watchOutbox(metrics: Metrics, outbox: Watched['outbox'], logger: Logger): BackgroundTask {
  let status: OutboxStatus = { waiting: 0, oldestAgeMs: 0, refused: 0 };
  metrics.sampledGauge({ name: 'skiff_outbox_events', help: 'Committed events that are not published yet.', read: () => status.waiting });
  metrics.sampledGauge({
    name: 'skiff_outbox_oldest_age_seconds',
    help: 'Age of the oldest event that is not published yet; alert above 60.',
    read: () => status.oldestAgeMs / 1000,
  });
  metrics.sampledGauge({
    name: 'skiff_outbox_refused_events',
    help: 'Events that the bus refused, such as for their size; alert above 0. The log and the rows say why.',
    read: () => status.refused,
  });
  return startBackgroundTask({
    name: 'outbox-metric',
    intervalMs: OUTBOX_EVERY_MS,
    logger,
    run: async () => {
      status = await outbox();
    },
  });
}
