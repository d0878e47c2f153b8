import { describeFileStore } from '../file-store.contract.ts';
import { createMemoryStore } from './memory-store.ts';

describeFileStore('memory', {
  makeStore: async (pageSize) => {
    const store = createMemoryStore({ pageSize });
    return { store, dispose: () => store.close() };
  },
});
