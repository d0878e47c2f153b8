import type { StoredMessage } from './stored-message.ts';

const COMPACT_AFTER = 64;

/** Messages that may be delivered, in order of their sequence numbers. */
export class ReadyList {
  #messages: StoredMessage[] = [];
  #head = 0;

  add(message: StoredMessage): void {
    const messages = this.#messages;
    let low = this.#head;
    let high = messages.length;
    const last = messages[high - 1];
    if (high > low && last !== undefined && last.sequence < message.sequence) low = high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((messages[middle]?.sequence ?? 0) < message.sequence) low = middle + 1;
      else high = middle;
    }
    if (messages[low]?.sequence === message.sequence) messages[low] = message;
    else messages.splice(low, 0, message);
  }

  /** Takes out the first that is still ready, of the session when one is given. */
  take(sessionId?: string): StoredMessage | undefined {
    const messages = this.#messages;
    this.#dropStale();
    for (let i = this.#head; i < messages.length; i++) {
      const message = messages[i];
      if (message === undefined || message.state !== 'ready' || (sessionId !== undefined && message.sessionId !== sessionId)) continue;
      if (i === this.#head) this.#head++;
      else messages.splice(i, 1);
      return message;
    }
    return undefined;
  }

  find(predicate: (message: StoredMessage) => boolean): StoredMessage | undefined {
    return this.#messages.slice(this.#head).find((message) => message.state === 'ready' && predicate(message));
  }

  #dropStale(): void {
    while (this.#head < this.#messages.length && this.#messages[this.#head]?.state !== 'ready') this.#head++;
    if (this.#head < COMPACT_AFTER) return;
    this.#messages = this.#messages.slice(this.#head);
    this.#head = 0;
  }
}
