import type { FileStore } from '@skiff/storage/file-store';
import { eventually } from '../support/eventually.ts';

/** A store in which copies wait while a test wants it: a rename of a directory stands still then, half done. */
export class HeldCopies {
  readonly store: FileStore;
  #gate: PromiseWithResolvers<void> | undefined;
  #waiting = 0;

  constructor(store: FileStore) {
    this.store = new Proxy(store, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        return key === 'copy' ? (...args: Parameters<FileStore['copy']>) => this.#whenReleased(() => target.copy(...args)) : value.bind(target);
      },
    });
  }

  /** Lets copies wait that begin from now on, until what is returned is called. */
  hold(): () => void {
    const gate = Promise.withResolvers<void>();
    this.#gate = gate;
    this.#waiting = 0;
    return () => {
      this.letPass();
      gate.resolve();
    };
  }

  /** Copies that begin from now on go on at once; those that wait still do. */
  letPass(): void {
    this.#gate = undefined;
  }

  /** Until a rename has looked at all its files, and copies the first. */
  async untilOneWaits(): Promise<void> {
    await eventually('a copy that waits', () => this.#waiting > 0);
  }

  async #whenReleased<Result>(copy: () => Promise<Result>): Promise<Result> {
    if (this.#gate !== undefined) {
      this.#waiting++;
      await this.#gate.promise;
    }
    return copy();
  }
}
