/** Something that holds bytes of the budget which it could give back early. */
export interface BudgetHolder {
  /** Bytes it could give back now. */
  relievableBytes(): number;
  /** Starts to give them back. */
  relieve(): void;
}

interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

/**
 * One bound on the bytes that all transfers of the process hold in memory (DESIGN P7). Grants are first come, first served, so
 * that writes of one file keep their order. When nothing is left, the largest unfinished block is staged early: a budget full of
 * half-filled blocks would otherwise never move again.
 */
export class ByteBudget {
  readonly totalBytes: number;
  #free: number;
  readonly #waiting: Waiter[] = [];
  readonly #holders = new Set<BudgetHolder>();

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes;
    this.#free = totalBytes;
  }

  get freeBytes(): number {
    return this.#free;
  }

  register(holder: BudgetHolder): void {
    this.#holders.add(holder);
  }

  unregister(holder: BudgetHolder): void {
    this.#holders.delete(holder);
  }

  /** `undefined`: granted at once. A request above the total is granted when everything else is free. */
  acquire(bytes: number): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.tryAcquire(bytes)) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push({ bytes, grant: resolve });
      this.#relieve();
    });
  }

  /** Takes the bytes only where they are free and nobody waits. */
  tryAcquire(bytes: number): boolean {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return false;
    this.#free -= bytes;
    return true;
  }

  release(bytes: number): void {
    this.#free += bytes;
    for (let first = this.#waiting[0]; first !== undefined && this.#fits(first.bytes); first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= first.bytes;
      first.grant();
    }
    if (this.#waiting.length > 0) this.#relieve();
  }

  #fits(bytes: number): boolean {
    return bytes <= this.#free || this.#free === this.totalBytes;
  }

  #relieve(): void {
    let largest: BudgetHolder | undefined;
    for (const holder of this.#holders) {
      if (holder.relievableBytes() > (largest?.relievableBytes() ?? 0)) largest = holder;
    }
    largest?.relieve();
  }
}
