import { BEST_EFFORT_EVENT_TYPES } from '@skiff/model/event-types';
import type { RouterMetrics } from '@skiff/router/router-metrics';
import type { Metrics } from '@skiff/runtime/metrics';
import type { SftpServerMetrics } from '@skiff/sftp-server/server-metrics';

export interface ProcessCounters {
  readonly server: SftpServerMetrics;
  readonly router: RouterMetrics;
}

/** What servers and routers count, once per process, whatever number of endpoints it serves. */
export function createProcessCounters(metrics: Metrics): ProcessCounters {
  return { server: serverCounters(metrics), router: routerCounters(metrics) };
}

function serverCounters(metrics: Metrics): SftpServerMetrics {
  const dropped = metrics.counter({
    name: 'skiff_best_effort_events_dropped_total',
    help: 'Events of downloads and logins that were not sent.',
    labels: ['type', 'reason'],
  });
  // A series that begins above 0 is no increase to Prometheus.
  for (const type of BEST_EFFORT_EVENT_TYPES) {
    for (const reason of ['BufferFull', 'RateLimited', 'Refused', 'Stopped']) dropped.increment({ type, reason }, 0);
  }
  return { eventDropped: (type, reason) => dropped.increment({ type, reason }) };
}

function routerCounters(metrics: Metrics): RouterMetrics {
  const messages = metrics.counter({ name: 'skiff_router_messages_total', help: 'Messages that were settled on the queue.', labels: ['outcome'] });
  const attempts = metrics.histogram({
    name: 'skiff_router_attempt_duration_seconds',
    help: 'Attempts at a target, by what came of them.',
    labels: ['outcome'],
  });
  const parked = metrics.counter({ name: 'skiff_router_deliveries_parked_total', help: 'Deliveries that were put aside for a later try.' });
  const dead = metrics.counter({ name: 'skiff_router_deliveries_dead_total', help: 'Deliveries that were given up; alert on any.' });
  const unrecorded = metrics.counter({
    name: 'skiff_router_outcomes_dropped_total',
    help: 'Outcomes of deliveries that could not be recorded; the deliveries themselves are not affected.',
  });
  for (const outcome of ['complete', 'abandon', 'deadLetter']) messages.increment({ outcome }, 0);
  return {
    message: (outcome) => messages.increment({ outcome }),
    attempt: (outcome, latencyMs) => attempts.observe({ outcome }, latencyMs / 1000),
    parked: (count) => parked.increment({}, count),
    dead: () => dead.increment({}),
    recordsDropped: (count) => unrecorded.increment({}, count),
  };
}
