import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import type { BlobName } from '@skiff/model/virtual-path';
import type { WriteCondition, WriteOptions } from '../../file-store.ts';
import type { ContractKit } from './contract-kit.ts';
import { rejects, signal, writeOptions } from './contract-kit.ts';

/** How a file comes to be: of blocks, or at once. */
export function describeWriting(kit: ContractKit): void {
  const { inDirectory, put, stage, commit, etagOf, textOf, stagedIn } = kit;
  describe('stageBlock', () => {
    inDirectory('shows what is staged with its size, before and beside a committed file', async (at) => {
      assert.deepEqual(await stagedIn(at('/f')), []);
      await stage(at('/f'), 'b1', 'abc');
      await stage(at('/f'), 'b2', 'defgh');
      assert.deepEqual(await stagedIn(at('/f')), ['b1:3', 'b2:5']);
      await commit(at('/f'), ['b1', 'b2']);
      await stage(at('/f'), 'b3', 'x');
      assert.deepEqual(await stagedIn(at('/f')), ['b3:1']);
      assert.equal(await textOf(at('/f')), 'abcdefgh');
    });
    inDirectory('replaces a block of the same id', async (at) => {
      await stage(at('/f'), 'b1', 'first');
      await stage(at('/f'), 'b1', 'second');
      assert.deepEqual(await stagedIn(at('/f')), ['b1:6']);
      await commit(at('/f'), ['b1']);
      assert.equal(await textOf(at('/f')), 'second');
    });
    inDirectory('refuses an id of another length than the blob has', async (at) => {
      await stage(at('/f'), 'b1', 'x');
      await rejects('invalid', stage(at('/f'), 'block2', 'x'));
    });
    inDirectory('keeps ids as they were, up to 64 characters', async (at) => {
      const id = `${'0123456789abcdef'.repeat(3)}+/=~!.-_0123456A`;
      assert.equal(id.length, 64);
      await stage(at('/f'), id, 'x');
      assert.deepEqual(await stagedIn(at('/f')), [`${id}:1`]);
      await rejects('invalid', stage(at('/g'), `${id}a`, 'x'));
      await rejects('invalid', stage(at('/g'), '', 'x'));
    });
    inDirectory('refuses content that is empty or whose parts do not add up', async (at) => {
      await rejects('invalid', kit.store.stageBlock(at('/f'), 'b1', { parts: [Buffer.from('abc')], sizeBytes: 4 }, signal()));
      await rejects('invalid', kit.store.stageBlock(at('/f'), 'b1', { parts: [], sizeBytes: 0 }, signal()));
    });
  });

  describe('commitBlocks', () => {
    inDirectory('makes the file of the given blocks in the given order', async (at) => {
      for (const id of ['b1', 'b2', 'b3']) await stage(at('/f'), id, id);
      const { etag } = await commit(at('/f'), ['b3', 'b1'], { metadata: { skiff_upload: 'u1' } });
      assert.equal(await textOf(at('/f')), 'b3b1');
      const found = await kit.store.stat(at('/f'), signal());
      assert.deepEqual([found?.etag, found?.sizeBytes, found?.metadata], [etag, 4, { skiff_upload: 'u1' }]);
    });
    inDirectory('drops every other staged block, whoever staged it', async (at) => {
      await stage(at('/f'), 'a1', 'mine');
      await stage(at('/f'), 'z1', 'other');
      await commit(at('/f'), ['a1']);
      assert.deepEqual(await stagedIn(at('/f')), []);
      await rejects('invalid', commit(at('/f'), ['z1']), 'InvalidBlockList');
      assert.equal(await textOf(at('/f')), 'mine');
    });
    inDirectory('mixes blocks of the present version with new ones', async (at) => {
      for (const id of ['b1', 'b2', 'b3']) await stage(at('/f'), id, `<${id}>`);
      await commit(at('/f'), ['b1', 'b2', 'b3']);
      await stage(at('/f'), 'n2', '[new]');
      await commit(at('/f'), ['b1', 'n2', 'b3']);
      assert.equal(await textOf(at('/f')), '<b1>[new]<b3>');
      await rejects('invalid', commit(at('/f'), ['b2']), 'InvalidBlockList');
    });
    inDirectory('prefers a staged block to the committed one of the same id', async (at) => {
      await stage(at('/f'), 'b1', 'old');
      await commit(at('/f'), ['b1']);
      await stage(at('/f'), 'b1', 'new!');
      await commit(at('/f'), ['b1']);
      assert.equal(await textOf(at('/f')), 'new!');
    });
    inDirectory('makes an empty file of no blocks', async (at) => {
      await commit(at('/f'), []);
      assert.deepEqual([(await kit.store.stat(at('/f'), signal()))?.sizeBytes, await textOf(at('/f'))], [0, '']);
    });
    inDirectory('loses metadata that is not passed again', async (at) => {
      await stage(at('/f'), 'b1', 'x');
      await commit(at('/f'), ['b1'], { metadata: { kept: 'no' } });
      await commit(at('/f'), ['b1']);
      assert.deepEqual((await kit.store.stat(at('/f'), signal()))?.metadata, {});
    });
    inDirectory('fails with conflict and changes nothing when its condition does not hold', async (at) => {
      const first = await put(at('/f'), 'one');
      await put(at('/f'), 'two');
      await stage(at('/f'), 'b1', 'three');
      await rejects('conflict', commit(at('/f'), ['b1'], { condition: { kind: 'absent' } }));
      await rejects('conflict', commit(at('/f'), ['b1'], { condition: { kind: 'etag', etag: first.etag } }));
      await rejects('conflict', commit(at('/none'), [], { condition: { kind: 'etag', etag: first.etag } }));
      assert.equal(await textOf(at('/f')), 'two');
      assert.deepEqual(await stagedIn(at('/f')), ['b1:5']);
      await commit(at('/f'), ['b1'], { condition: { kind: 'etag', etag: await etagOf(at('/f')) } });
      assert.equal(await textOf(at('/f')), 'three');
    });
    inDirectory('repeated with absent fails with conflict and leaves the id to be found', async (at) => {
      await stage(at('/f'), 'b1', 'x');
      const more: Partial<WriteOptions> = { condition: { kind: 'absent' }, metadata: { skiff_upload: 'u7' } };
      await commit(at('/f'), ['b1'], more);
      await rejects('conflict', commit(at('/f'), ['b1'], more));
      assert.equal((await kit.store.stat(at('/f'), signal()))?.metadata.skiff_upload, 'u7');
    });
  });

  describe('conditions', () => {
    const race = async (path: BlobName, condition: WriteCondition): Promise<void> => {
      const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => put(path, `writer ${i}`, { condition })));
      const winners = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
      assert.equal(winners.length, 1);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') assert.equal(outcome.reason instanceof StoreError && outcome.reason.code, 'conflict');
      }
      assert.equal(await textOf(path), `writer ${winners[0]}`);
    };
    inDirectory('let one of many writers make a new file', async (at) => {
      await race(at('/d/f'), { kind: 'absent' });
    });
    inDirectory('let one of many writers replace a version', async (at) => {
      const { etag } = await put(at('/f'), 'start');
      await race(at('/f'), { kind: 'etag', etag });
    });
  });

  describe('put', () => {
    inDirectory('writes over what is there, metadata included', async (at) => {
      const first = await put(at('/f'), 'one', { metadata: { a: '1' } });
      const second = await put(at('/f'), 'two');
      assert.notEqual(first.etag, second.etag);
      assert.deepEqual([await textOf(at('/f')), (await kit.store.stat(at('/f'), signal()))?.metadata], ['two', {}]);
    });
    inDirectory('refuses metadata that would come back changed', async (at) => {
      for (const metadata of [{ 'a-b': 'x' }, { Upper: 'x' }, { a: 'ümlaut' }, { a: ' x' }, { a: 'x\n' }, { a: 'x'.repeat(9000) }]) {
        await rejects('invalid', put(at('/f'), 'x', { metadata }));
      }
      assert.equal(await kit.store.stat(at('/f'), signal()), undefined);
    });
    inDirectory('refuses content whose parts do not add up', async (at) => {
      await rejects('invalid', kit.store.put(at('/f'), { parts: [Buffer.from('abc')], sizeBytes: 2 }, writeOptions()));
    });
    inDirectory('leaves a file whole that replaces one being read', async (at) => {
      const { etag } = await put(at('/f'), 'a'.repeat(100_000));
      const reads = Array.from({ length: 5 }, () => kit.store.read(at('/f'), { offset: 0, length: 100_000, etag }, signal()));
      await put(at('/f'), 'b'.repeat(100_000));
      for (const read of await Promise.allSettled(reads)) {
        if (read.status === 'fulfilled') assert.equal(Buffer.concat(read.value).toString(), 'a'.repeat(100_000));
        else assert.equal(read.reason instanceof StoreError && read.reason.code, 'conflict');
      }
    });
  });
}
