/** Time during which the API server had one process down as the holder of the lease, ms since 1970; the last one is open. */
export interface Term {
  readonly process: string;
  readonly epoch: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface LeaseWrite {
  readonly holder: string;
  readonly epoch: number;
  readonly atMs: number;
}

export interface Write {
  readonly process: string;
  readonly what: string;
  readonly atMs: number;
}

/** Terms as the API server has seen them: each begins with a lease written with another holder and ends with the next such. */
export function termsOf(writes: readonly LeaseWrite[]): readonly Term[] {
  const changes = writes
    .toSorted((left, right) => left.atMs - right.atMs)
    .filter((write, index, all) => write.holder !== all[index - 1]?.holder || write.epoch !== all[index - 1]?.epoch);
  return changes
    .map((change, index) => ({
      process: change.holder,
      epoch: change.epoch,
      fromMs: change.atMs,
      untilMs: changes[index + 1]?.atMs ?? Number.POSITIVE_INFINITY,
    }))
    .filter(({ process }) => process !== '');
}

/** Writes outside of their writer's terms, in words; empty: there were never two writers. */
export function strayWrites(writes: readonly Write[], terms: readonly Term[]): readonly string[] {
  return writes
    .filter(({ process, atMs }) => !terms.some((term) => term.process === process && term.fromMs <= atMs && atMs <= term.untilMs))
    .map(({ process, what, atMs }) => {
      const held = terms.find((term) => term.fromMs <= atMs && atMs <= term.untilMs);
      return `${process} wrote ${what} while ${held === undefined ? 'nobody' : held.process} led, ${new Date(atMs).toISOString()}`;
    });
}

/** Pairs of terms whose writes overlap, or whose epochs do not grow, in words. */
export function overlaps(writes: readonly Write[], terms: readonly Term[]): readonly string[] {
  const spans = terms.flatMap((term) => {
    const times = writes.filter(({ process, atMs }) => process === term.process && term.fromMs <= atMs && atMs <= term.untilMs).map(({ atMs }) => atMs);
    return times.length === 0 ? [] : [{ term, first: Math.min(...times), last: Math.max(...times) }];
  });
  return spans.flatMap(({ term, first }, index) => {
    const before = spans[index - 1];
    if (before === undefined || (before.last < first && before.term.epoch < term.epoch)) return [];
    return [`epoch ${before.term.epoch} wrote until ${before.last}, epoch ${term.epoch} from ${first}`];
  });
}
