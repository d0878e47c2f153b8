import type { ServerClient } from './members.ts';
import { endWithViolation } from './raw-packet.ts';

export interface RekeyLimits {
  /** Payload in both directions after which new keys are made; RFC 4253 section 9 recommends 1 GiB. */
  readonly bytes: number;
  /** The same by time; RFC 4253 section 9 recommends an hour. */
  readonly ms: number;
  /** A peer that does not take part within this time is disconnected. */
  readonly answerMs: number;
}

/** ssh2 never makes new keys by itself. Inbound bytes are counted here, outbound ones through the socket's own count. */
export class RekeyTrigger {
  readonly #client: ServerClient;
  readonly #limits: RekeyLimits;
  #bytes = 0;
  #asked = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(client: ServerClient, limits: RekeyLimits) {
    this.#client = client;
    this.#limits = limits;
    client.on('handshake', () => this.#restart());
    client.on('close', () => clearTimeout(this.#timer));
  }

  /** Counts a packet that came in or went out. */
  count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= this.#limits.bytes && !this.#asked) this.#ask();
  }

  #restart(): void {
    this.#bytes = 0;
    this.#asked = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), this.#limits.ms).unref();
  }

  #ask(): void {
    const protocol = this.#client._protocol;
    if (protocol._destruct === undefined) return;
    this.#asked = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => endWithViolation(protocol, 'new keys were not agreed in time'), this.#limits.answerMs).unref();
    this.#client.rekey();
  }
}
