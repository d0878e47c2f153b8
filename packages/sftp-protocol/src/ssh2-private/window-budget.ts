/** Window of each channel as ssh2 opens it. */
export const BASE_WINDOW_BYTES = 2 * 1024 * 1024;

/**
 * Receive windows above the base come out of one budget for the process: 8 MiB carries 50 MiB/s at a round trip of 150 ms,
 * but a thousand held channels of that size would be 8 GiB.
 */
export class WindowBudget {
  #leftBytes: number;

  constructor(totalBytes: number) {
    this.#leftBytes = totalBytes;
  }

  /** As much of `wantedBytes` as is left; give it back with {@link give}. */
  take(wantedBytes: number): number {
    const taken = Math.max(0, Math.min(wantedBytes, this.#leftBytes));
    this.#leftBytes -= taken;
    return taken;
  }

  give(bytes: number): void {
    this.#leftBytes += bytes;
  }
}
