import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import { parseVirtualPath, toBlobName, toJail } from '@skiff/model/virtual-path';
import type { WriteOptions } from '../../file-store.ts';
import type { ContractKit } from './contract-kit.ts';
import { collect, contentOf, rejects, signal, WEIRD_NAMES } from './contract-kit.ts';

/** What holds for every call, and for the store as a whole. */
export function describeStore(kit: ContractKit): void {
  const { inDirectory, put, stage, commit, etagOf, textOf, listed } = kit;
  describe('signals', () => {
    inDirectory('end every call with aborted', async (at) => {
      const { etag } = await put(at('/f'), 'x');
      const ended = AbortSignal.abort();
      const options: WriteOptions = { metadata: { op: '1' }, signal: ended };
      const calls: readonly (() => Promise<unknown>)[] = [
        () => kit.store.probe(ended),
        () => kit.store.stat(at('/f'), ended),
        () => collect(kit.store, at('/'), ended),
        () => kit.store.read(at('/f'), { offset: 0, length: 1, etag }, ended),
        () => kit.store.stageBlock(at('/f'), 'b1', contentOf('x'), ended),
        () => kit.store.listStagedBlocks(at('/f'), ended),
        () => kit.store.commitBlocks(at('/f'), [], options),
        () => kit.store.put(at('/f'), contentOf('y'), options),
        () => kit.store.remove(at('/f'), { signal: ended }),
        () => kit.store.copy({ name: at('/f'), etag }, at('/g'), options),
        () => kit.store.setMetadata(at('/f'), {}, { etag, signal: ended }),
        () => kit.store.createDirectory(at('/d'), options),
      ];
      for (const call of calls) await rejects('aborted', call());
      assert.deepEqual([await etagOf(at('/f')), (await listed(at('/'))).length], [etag, 1]);
    });
    inDirectory('end a call that is under way with aborted or let it finish', async (at) => {
      const controller = new AbortController();
      const block = { parts: Array.from({ length: 128 }, () => Buffer.alloc(32_768)), sizeBytes: 128 * 32_768 };
      const staging = Array.from({ length: 4 }, (_, i) => kit.store.stageBlock(at('/f'), `b${i}`, block, controller.signal));
      setImmediate(() => controller.abort());
      for (const outcome of await Promise.allSettled(staging)) {
        if (outcome.status === 'rejected') assert.equal(outcome.reason instanceof StoreError && outcome.reason.code, 'aborted');
      }
      await stage(at('/f'), 'b9', 'works on');
      await commit(at('/f'), ['b9']);
      assert.equal(await textOf(at('/f')), 'works on');
    });
  });

  describe('the store', () => {
    test('is reachable', async () => {
      await kit.store.probe(signal());
    });
    test('says which kit.store and container it is', () => {
      assert.notEqual(kit.store.identity, '');
      assert.notEqual(kit.store.container, '');
      assert.ok(kit.store.limits.maxBlocks > 0 && kit.store.limits.maxBlockBytes > 0 && kit.store.limits.maxPutBytes > 0);
    });
    test('gives two names two addresses that are legal', () => {
      const urls = WEIRD_NAMES.map((name) => kit.store.urlOf(toBlobName(toJail('/', '/'), parseVirtualPath(`/${name}`))));
      assert.equal(new Set(urls).size, WEIRD_NAMES.length);
      for (const url of urls) assert.deepEqual([URL.canParse(url), new URL(url).search, new URL(url).hash], [true, '', '']);
    });
  });
}
