import { StoreError } from '@skiff/model/store-error';

/**
 * Sends what was refused together once more, each message alone: the one that is at fault is told from those that only shared its batch,
 * or its link. One at a time over all calls, so that nothing else is under way when a broker ends the link.
 */
export class OneByOne<Message extends { readonly messageId: string }> {
  readonly #send: (message: Message, signal: AbortSignal) => Promise<void>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(send: (message: Message, signal: AbortSignal) => Promise<void>) {
    this.#send = send;
  }

  /** Reasons by message id, of those that are refused alone as well. @throws {StoreError} for any other failure. */
  async send(messages: readonly Message[], signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const refused = new Map<string, string>();
    for (const message of messages) {
      try {
        await this.#inTurn(message, signal);
      } catch (error) {
        if (!(error instanceof StoreError) || error.code !== 'invalid') throw error;
        refused.set(message.messageId, error.message);
      }
    }
    return refused;
  }

  #inTurn(message: Message, signal: AbortSignal): Promise<void> {
    const turn = this.#last.then(() => {
      signal.throwIfAborted();
      return this.#send(message, signal);
    });
    // Whoever waits next does not care how this one ended.
    this.#last = turn.catch(() => 'ended');
    return turn;
  }
}
