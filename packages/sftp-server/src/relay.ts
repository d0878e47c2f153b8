import type { OperationLog } from '@skiff/database/operation-log';
import type { EventPublisher, OutgoingMessage } from '@skiff/messaging/event-bus';
import { CLOUD_EVENTS_JSON, type FileEvent } from '@skiff/model/file-event';
import type { InstanceId, OperationId } from '@skiff/model/upload-state';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { Logger } from '@skiff/runtime/logger';

const BATCH = 100;
/** Events that go straight from their commit to the bus. Above this they stay in the outbox, where the poll finds them. */
const MAX_QUEUED = 1_000;
const SEND_TIMEOUT_MS = 20_000;

export interface RelayProps {
  readonly log: OperationLog;
  readonly endpointId: number;
  readonly instance: InstanceId;
  /** Absent: the endpoint publishes nowhere, and events are done once they are recorded. */
  readonly publisher: EventPublisher | undefined;
  readonly logger: Logger;
  readonly failpoints: Failpoints;
}

interface Ready {
  readonly id: OperationId;
  readonly event: FileEvent;
}

/**
 * Carries committed events to the bus (DESIGN P2.3): the ones of this process at once, what others left behind by a poll of
 * the outbox. An event counts as published only when the broker has confirmed it; a second sending has the same id.
 */
export class Relay {
  readonly #props: RelayProps;
  #queue: Ready[] = [];
  #running: Promise<void> | undefined;
  #failing = false;

  constructor(props: RelayProps) {
    this.#props = props;
  }

  /** Takes an event that has just been committed. Never waits, never throws. */
  offer(event: FileEvent, id: OperationId): void {
    // While the bus is away events rest in the outbox; the claim on this one runs out within seconds.
    if (this.#failing || this.#queue.length >= MAX_QUEUED) return;
    this.#queue.push({ id, event });
    this.#running ??= this.#drainQueue().finally(() => {
      this.#running = undefined;
    });
  }

  async #drainQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH);
      try {
        await this.#publish(batch);
      } catch (error) {
        this.#failing = true;
        const left = [...batch, ...this.#queue].map((ready) => ready.id);
        this.#queue = [];
        this.#props.logger.warn({ err: error, events: left.length }, 'publishing failed, events wait in the outbox');
        await this.#giveBack(left);
      }
    }
  }

  async #giveBack(ids: readonly OperationId[]): Promise<void> {
    try {
      await this.#props.log.releasePublishable(ids);
    } catch (error) {
      this.#props.logger.warn({ err: error }, 'claims on events run out by themselves');
    }
  }

  /** One round over the outbox. Returns how many events it sent; rejects when the bus or the database is away. */
  async poll(): Promise<number> {
    const { log, endpointId, instance } = this.#props;
    let sent = 0;
    for (;;) {
      const batch = await log.claimPublishable(endpointId, instance, BATCH);
      if (batch.length === 0) break;
      await this.#props.failpoints.hit('relay.claimed');
      try {
        await this.#publish(batch);
      } catch (error) {
        await this.#giveBack(batch.map((ready) => ready.id));
        throw error;
      }
      sent += batch.length;
      if (batch.length < BATCH) break;
    }
    this.#failing = false;
    return sent;
  }

  async #publish(batch: readonly Ready[]): Promise<void> {
    const { publisher, log, failpoints } = this.#props;
    await publisher?.publish(
      batch.map(({ event }) => toMessage(event)),
      AbortSignal.timeout(SEND_TIMEOUT_MS),
    );
    await failpoints.hit('relay.sent');
    await log.published(batch.map((ready) => ready.id));
    await failpoints.hit('relay.marked');
  }

  /** Waits until nothing of this process is on its way. */
  async idle(): Promise<void> {
    await this.#running;
  }
}

function toMessage(event: FileEvent): OutgoingMessage {
  return {
    messageId: event.id,
    contentType: CLOUD_EVENTS_JSON,
    subject: event.type,
    body: Buffer.from(JSON.stringify(event)),
    properties: { type: event.type, source: event.source, username: event.data.username },
  };
}
