/** Bounds of one channel and one connection. */
export interface SftpLimits {
  /** Requests that were read and not answered. */
  readonly maxRequests: number;
  /** Bytes of a connection's requests and started READs that are not settled. */
  readonly maxInFlightBytes: number;
  /** Queued output and started READs of a channel; a peer that never opens its window costs no more. */
  readonly maxOutputBytes: number;
  readonly maxHandles: number;
}

export const DEFAULT_SFTP_LIMITS: SftpLimits = {
  // OpenSSH's client keeps 64 requests in flight.
  maxRequests: 64,
  maxInFlightBytes: 16 * 1024 * 1024,
  maxOutputBytes: 4 * 1024 * 1024,
  maxHandles: 256,
};

/** Bytes in flight on one connection, shared by its channels. */
export class FlowBudget {
  readonly #maxBytes: number;
  #bytes = 0;
  readonly #waiting = new Set<() => void>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get exhausted(): boolean {
    return this.#bytes >= this.#maxBytes;
  }

  take(bytes: number): void {
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    if (this.exhausted || this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once when bytes are left again. */
  whenLeft(wake: () => void): void {
    this.#waiting.add(wake);
  }

  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}
