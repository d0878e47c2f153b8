/** Deliveries that succeeded here a short while ago: known before their record is written, and while the database is away. */
export class RecentSuccesses {
  readonly #keys = new Set<string>();
  readonly #limit: number;

  constructor(limit = 50_000) {
    this.#limit = limit;
  }

  add(eventId: string, place: string): void {
    const key = `${eventId} ${place}`;
    this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size <= this.#limit) return;
    const [oldest] = this.#keys;
    if (oldest !== undefined) this.#keys.delete(oldest);
  }

  has(eventId: string, place: string): boolean {
    return this.#keys.has(`${eventId} ${place}`);
  }
}
