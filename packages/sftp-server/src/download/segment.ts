export interface SegmentProps {
  readonly offset: number;
  readonly length: number;
  readonly budgetedBytes: number;
  readonly bytes: Promise<readonly Buffer[]>;
}

/** A range of a file on its way from the store, or arrived. Its buffers are handed out without copying. */
export class Segment {
  readonly offset: number;
  readonly end: number;
  readonly #bytes: Promise<readonly Buffer[]>;
  #budgetedBytes: number;
  #unread: number;
  #awaited = 0;
  /** Where the last slice ended: sequential reads need not search. */
  #cursor = { index: 0, start: 0 };

  constructor(props: SegmentProps) {
    this.offset = props.offset;
    this.end = props.offset + props.length;
    this.#bytes = props.bytes;
    this.#unread = props.length;
    this.#budgetedBytes = props.budgetedBytes;
    // A range fetched ahead that nobody comes to read must not raise an unhandled rejection; who reads it sees the error.
    this.#bytes.catch(() => undefined);
  }

  covers(position: number): boolean {
    return position >= this.offset && position < this.end;
  }

  /** Every byte was handed out once. */
  get isReadWhole(): boolean {
    return this.#unread <= 0;
  }

  /** A request waits for its bytes. */
  get isAwaited(): boolean {
    return this.#awaited > 0;
  }

  get budgetedBytes(): number {
    return this.#budgetedBytes;
  }

  /** Gives the bytes it counts for in the budget, once. */
  takeBudgetedBytes(): number {
    const bytes = this.#budgetedBytes;
    this.#budgetedBytes = 0;
    return bytes;
  }

  /** The bytes from `from` up to `to`, both offsets in the file. */
  async slice(from: number, to: number): Promise<readonly Buffer[]> {
    this.#awaited++;
    try {
      return this.#cut(await this.#bytes, from, to);
    } finally {
      this.#awaited--;
    }
  }

  #cut(buffers: readonly Buffer[], from: number, to: number): readonly Buffer[] {
    const slices: Buffer[] = [];
    let position = from - this.offset;
    const end = to - this.offset;
    if (this.#cursor.start > position) this.#cursor = { index: 0, start: 0 };
    let { index, start } = this.#cursor;
    for (let buffer = buffers[index]; buffer !== undefined && position < end; buffer = buffers[index]) {
      const bufferEnd = start + buffer.length;
      if (position < bufferEnd) {
        slices.push(buffer.subarray(position - start, Math.min(end, bufferEnd) - start));
        position = Math.min(end, bufferEnd);
      }
      if (position < bufferEnd) break;
      index++;
      start = bufferEnd;
    }
    this.#cursor = { index, start };
    this.#unread -= to - from;
    return slices;
  }
}
