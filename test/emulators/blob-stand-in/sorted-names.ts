/** Names in the order of their code units, as listings give them. */
export class SortedNames {
  readonly #names: string[] = [];

  /** Index of the first name that is not before `name`. */
  #search(name: string): number {
    let low = 0;
    let high = this.#names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#names[middle] ?? '') < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(name: string): void {
    const index = this.#search(name);
    if (this.#names[index] !== name) this.#names.splice(index, 0, name);
  }

  remove(name: string): void {
    const index = this.#search(name);
    if (this.#names[index] === name) this.#names.splice(index, 1);
  }

  /** The first name at or after `name`. */
  firstFrom(name: string): string | undefined {
    return this.#names[this.#search(name)];
  }
}
