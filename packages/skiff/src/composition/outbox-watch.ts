import type { OutboxStatus } from '@skiff/database/operation-log';
import type { Clock } from '@skiff/runtime/clock';
import type { Metrics } from '@skiff/runtime/metrics';

const NOTHING: OutboxStatus = { waiting: 0, oldestAgeMs: 0, refused: 0 };

/**
 * What is known of the outbox between two looks, and while the database cannot be reached: what waited then still waits, for nothing
 * can be marked as published, and grows older.
 */
export class OutboxWatch {
  readonly #clock: Clock;
  readonly #read: () => Promise<OutboxStatus>;
  #status = NOTHING;
  #readAt: number;

  constructor(props: { readonly clock: Clock; readonly read: () => Promise<OutboxStatus> }) {
    this.#clock = props.clock;
    this.#read = props.read;
    this.#readAt = props.clock.monotonicMs();
  }

  /** Looks again. Rejects when the database does. */
  async refresh(): Promise<void> {
    const startedAt = this.#clock.monotonicMs();
    this.#status = await this.#read();
    this.#readAt = startedAt;
  }

  register(metrics: Metrics): void {
    metrics.sampledGauge({ name: 'skiff_outbox_events', help: 'Committed events that are not published yet.', read: () => this.#status.waiting });
    metrics.sampledGauge({
      name: 'skiff_outbox_oldest_age_seconds',
      help: 'Age of the oldest event that is not published yet, 0 when there is none; alert above 60.',
      read: () => (this.#status.waiting === 0 ? 0 : this.#status.oldestAgeMs / 1000 + this.#ageSeconds()),
    });
    metrics.sampledGauge({
      name: 'skiff_outbox_refused_events',
      help: 'Events that the bus refused, such as for their size; alert above 0. The log and the rows say why.',
      read: () => this.#status.refused,
    });
    metrics.sampledGauge({
      name: 'skiff_outbox_read_age_seconds',
      help: 'Time since the outbox could last be read; above 60 the database cannot be reached.',
      read: () => this.#ageSeconds(),
    });
  }

  #ageSeconds(): number {
    return (this.#clock.monotonicMs() - this.#readAt) / 1000;
  }
}
