import { after, before, describe } from 'node:test';
import type { FileStore } from './file-store.ts';
import { describeChanging } from './testing/file-store-contract/changing.ts';
import { ContractKit, LIST_PAGE_SIZE } from './testing/file-store-contract/contract-kit.ts';
import { describeReading } from './testing/file-store-contract/reading.ts';
import { describeStore } from './testing/file-store-contract/store.ts';
import { describeWriting } from './testing/file-store-contract/writing.ts';

export interface StoreUnderTest {
  readonly store: FileStore;
  dispose(): Promise<void>;
}

export interface ContractOptions {
  /** Makes an empty store whose listings have pages of about this many entries. */
  makeStore(listPageSize: number): Promise<StoreUnderTest>;
  /** Entries of the large directory. Default 1,000; fewer where the store behind is slow. */
  readonly manyEntries?: number;
}

/** Every documented sentence of the {@link FileStore} port as a test; each adapter and each stand-in runs all of them. */
export function describeFileStore(name: string, { makeStore, manyEntries = 1_000 }: ContractOptions): void {
  describe(`FileStore: ${name}`, () => {
    let underTest: StoreUnderTest;
    before(async () => {
      underTest = await makeStore(LIST_PAGE_SIZE);
    });
    after(() => underTest.dispose());
    const kit = new ContractKit({ store: () => underTest.store, manyEntries });
    describeReading(kit);
    describeWriting(kit);
    describeChanging(kit);
    describeStore(kit);
  });
}
