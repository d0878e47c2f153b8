import type { ResourceRepository, UserRow } from '@skiff/database/resource-rows';
import { StoreError } from '@skiff/model/store-error';
import type { Clock } from '@skiff/runtime/clock';

/** Users known from the last poll may log in this long while the database is away (DESIGN P6); then nobody may. */
const MAX_CACHE_AGE_MS = 15 * 60_000;

/** The endpoint's users, kept as fresh as the last poll. Rows come by revision: a poll without changes reads one number. */
export class UserDirectory {
  readonly #repository: ResourceRepository;
  readonly #endpointId: number;
  readonly #clock: Clock;
  readonly #users = new Map<string, UserRow>();
  #revision = 0n;
  #refreshedAt: number | undefined;

  constructor(props: { readonly repository: ResourceRepository; readonly endpointId: number; readonly clock: Clock }) {
    this.#repository = props.repository;
    this.#endpointId = props.endpointId;
    this.#clock = props.clock;
  }

  get size(): number {
    return this.#users.size;
  }

  /** Reads what is new and returns the names it concerns. Rejects when the database is away. */
  async refresh(): Promise<readonly string[]> {
    const startedAt = this.#clock.monotonicMs();
    const changes = await this.#read();
    for (const user of changes.changed) this.#users.set(user.username, user);
    for (const username of changes.deleted) this.#users.delete(username);
    this.#revision = changes.revision;
    this.#refreshedAt = startedAt;
    return [...changes.changed.map((user) => user.username), ...changes.deleted];
  }

  /** After a restored database, or further behind than tombstones are kept, only the whole list tells who is gone. */
  async #read(): ReturnType<ResourceRepository['usersSince']> {
    try {
      return await this.#repository.usersSince(this.#endpointId, this.#revision);
    } catch (error) {
      if (!(error instanceof StoreError) || error.vendorCode !== 'REVISION_UNKNOWN') throw error;
      const changes = await this.#repository.usersSince(this.#endpointId, 0n);
      const present = new Set(changes.changed.map((user) => user.username));
      const gone = [...this.#users.keys()].filter((username) => !present.has(username));
      return { ...changes, deleted: [...changes.deleted, ...gone] };
    }
  }

  /** True while answers may be trusted. */
  get isFresh(): boolean {
    return this.#refreshedAt !== undefined && this.#clock.monotonicMs() - this.#refreshedAt < MAX_CACHE_AGE_MS;
  }

  find(username: string): UserRow | undefined {
    return this.#users.get(username);
  }
}
