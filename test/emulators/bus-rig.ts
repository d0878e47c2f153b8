import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceBusClient, type ServiceBusReceivedMessage, type ServiceBusReceiver } from '@azure/service-bus';
import { type Azure, type AzureProps, startAzure } from './azure.ts';
import { trustAuthority } from './certificates.ts';

const CALL_TIMEOUT_MS = 10_000;
const RECEIVE_TIMEOUT_MS = 10_000;

/** The Service Bus emulator under the unmodified SDK, which does not try anything twice. */
export class BusRig {
  readonly azure: Azure;
  readonly client: ServiceBusClient;
  readonly #dir: string;

  private constructor(azure: Azure, dir: string) {
    this.azure = azure;
    this.#dir = dir;
    this.client = this.clientWith(azure.serviceBus.connectionString);
  }

  static async start(entities: Pick<AzureProps, 'queues' | 'entities'>): Promise<BusRig> {
    const dir = await mkdtemp(join(tmpdir(), 'skiff-bus-'));
    const azure = await startAzure({ dir, ...entities });
    trustAuthority(azure.certificates);
    return new BusRig(azure, dir);
  }

  clientWith(connectionString: string): ServiceBusClient {
    return new ServiceBusClient(connectionString, { retryOptions: { maxRetries: 0, timeoutInMs: CALL_TIMEOUT_MS } });
  }

  async send(queue: string, body: unknown, more: object = {}): Promise<void> {
    await this.client.createSender(queue).sendMessages({ body, messageId: randomUUID(), ...more });
  }

  async one(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: RECEIVE_TIMEOUT_MS });
    assert.ok(message, 'no message');
    return message;
  }

  /** Takes what there is, until nothing more comes for so long. */
  async drain(queue: string, waitMs = 300): Promise<readonly unknown[]> {
    const receiver = this.client.createReceiver(queue, { receiveMode: 'receiveAndDelete' });
    const bodies: unknown[] = [];
    for (;;) {
      const messages = await receiver.receiveMessages(1_000, { maxWaitTimeInMs: waitMs });
      if (messages.length === 0) break;
      bodies.push(...messages.map(({ body }) => body));
    }
    await receiver.close();
    return bodies;
  }

  async stop(): Promise<void> {
    await this.client.close();
    await this.azure.stop();
    await rm(this.#dir, { recursive: true });
  }
}
