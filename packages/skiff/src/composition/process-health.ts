import type { OutboxStatus } from '@skiff/database/operation-log';
import { type BackgroundTask, startBackgroundTask } from '@skiff/runtime/background-task';
import { startHealthServer } from '@skiff/runtime/health';
import { OutboxWatch } from './outbox-watch.ts';
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

/** What SFTP servers are watched by. */
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
  const { configuration, logger, metrics, budget } = parts;
  let state: string | undefined = 'starting';
  metrics.sampledGauge({ name: 'skiff_transfer_memory_free_bytes', help: 'Bytes of the transfer budget that nobody holds.', read: () => budget.freeBytes });
  let task: BackgroundTask | undefined;
  const { healthPort } = configuration;
  const server = healthPort === undefined ? undefined : await startHealthServer({ port: healthPort, ready: { process: () => state }, metrics, logger });
  return {
    watch({ sessions, outbox }) {
      metrics.sampledGauge({ name: 'skiff_sftp_sessions', help: 'Live SFTP sessions of this process.', read: sessions });
      task = watchOutbox(parts, outbox);
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

function watchOutbox({ metrics, clock, logger }: ProcessParts, read: Watched['outbox']): BackgroundTask {
  const watch = new OutboxWatch({ clock, read });
  watch.register(metrics);
  return startBackgroundTask({ name: 'outbox-metric', intervalMs: OUTBOX_EVERY_MS, maxPauseMs: OUTBOX_EVERY_MS, logger, run: () => watch.refresh() });
}
