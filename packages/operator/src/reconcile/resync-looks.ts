import { isTransient, StoreError } from '@skiff/model/store-error';
import type { Logger } from '@skiff/runtime/logger';

export interface ResyncLooksProps<Key, Value> {
  /** @throws {StoreError} */
  readonly read: (key: Key) => Promise<Value>;
  /** Constant text for the log, for when it cannot be read. */
  readonly unread: string;
  readonly logger: Logger;
}

/**
 * What servers and routers, which have no access to the Kubernetes API, leave in the database for a status. It is looked at once per
 * resync, whether the database answers or not: a status changes by it no more often, whatever the traffic, and an outage holds up no more.
 */
export class ResyncLooks<Key, Value> {
  readonly #props: ResyncLooksProps<Key, Value>;
  readonly #known = new Map<Key, { value: Value | undefined; due: boolean; asked: boolean }>();

  constructor(props: ResyncLooksProps<Key, Value>) {
    this.#props = props;
  }

  /** The next {@link of} looks again. What nobody has asked for since the last time is forgotten. */
  expire(): void {
    for (const [key, known] of this.#known) {
      if (!known.asked) this.#known.delete(key);
      known.due = true;
      known.asked = false;
    }
  }

  /** As at the last look that the database answered; undefined: there was none. */
  async of(key: Key): Promise<Value | undefined> {
    const known = this.#known.get(key);
    if (known !== undefined) known.asked = true;
    if (known?.due === false) return known.value;
    const value = await this.#look(key, known?.value);
    this.#known.set(key, { value, due: false, asked: true });
    return value;
  }

  async #look(key: Key, last: Value | undefined): Promise<Value | undefined> {
    try {
      return await this.#props.read(key);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // An outage is told of elsewhere; and whatever it is, everything else goes on without.
      this.#props.logger[isTransient(error) ? 'debug' : 'warn']({ key, err: error }, this.#props.unread);
      return last;
    }
  }
}
