import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Check {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Such as `<= 60`, `>= 0.8`, `== 2`; empty: only reported. */
  readonly limit: string;
  readonly ok: boolean;
}

const COMPARE: Readonly<Record<string, (value: number, bound: number) => boolean>> = {
  '<=': (value, bound) => value <= bound,
  '>=': (value, bound) => value >= bound,
  '==': (value, bound) => value === bound,
};

/** Figures of one target: printed as a table, written to `out/<target>.json`, and a failing exit code when one is not ok. */
export class Checks {
  readonly #target: string;
  readonly #checks: Check[] = [];

  constructor(target: string) {
    this.#target = target;
  }

  /** Adds a figure; `limit` decides whether it is ok. @throws {RangeError} for a limit that means nothing. */
  add(name: string, value: number, unit: string, limit = ''): Check {
    const check = { name, value: round(value), unit, limit, ok: limit === '' || holds(value, limit) };
    this.#checks.push(check);
    return check;
  }

  get all(): readonly Check[] {
    return this.#checks;
  }

  get ok(): boolean {
    return this.#checks.length > 0 && this.#checks.every((check) => check.ok);
  }

  /** Prints and writes; returns whether all is well. */
  finish(): boolean {
    const out = join(import.meta.dirname, '../../out');
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, `${this.#target}.json`), `${JSON.stringify({ checks: this.#checks }, null, 2)}\n`);
    const width = Math.max(...this.#checks.map((check) => check.name.length), 5);
    for (const check of this.#checks) {
      const mark = check.ok ? '✔' : '✘';
      console.log(`  ${mark} ${check.name.padEnd(width)}  ${String(check.value).padStart(10)} ${check.unit.padEnd(9)} ${check.limit}`);
    }
    console.log(`  figures: out/${this.#target}.json`);
    return this.ok;
  }
}

function holds(value: number, limit: string): boolean {
  const [operator = '', bound = ''] = limit.split(' ');
  const compare = COMPARE[operator];
  if (compare === undefined || bound === '' || Number.isNaN(Number(bound))) throw new RangeError(`not a limit: ${limit}`);
  return compare(value, Number(bound));
}

function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 1000) / 1000;
}
