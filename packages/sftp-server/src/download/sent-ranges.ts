interface Range {
  from: number;
  to: number;
}

/** Separate ranges that are told apart; a client that reads at random beyond that is not one that fetches the file. */
const MAX_RANGES = 256;

/** Which bytes of a file were sent, each counted once. */
export class SentRanges {
  /** In order; none touches another. */
  readonly #ranges: Range[] = [];

  /** From `from` up to `to`, both offsets in the file. What would make too many ranges is not counted. */
  add(from: number, to: number): void {
    // Most readers go forward, with a few requests at a time.
    let index = this.#ranges.length;
    while (index > 0 && (this.#ranges[index - 1]?.to ?? 0) >= from) index--;
    const merged: Range = { from, to };
    let end = index;
    for (let range = this.#ranges[end]; range !== undefined && range.from <= to; range = this.#ranges[++end]) {
      merged.from = Math.min(merged.from, range.from);
      merged.to = Math.max(merged.to, range.to);
    }
    if (end === index && this.#ranges.length >= MAX_RANGES) return;
    this.#ranges.splice(index, end - index, merged);
  }

  get sizeBytes(): number {
    return this.#ranges.reduce((sum, range) => sum + range.to - range.from, 0);
  }
}
