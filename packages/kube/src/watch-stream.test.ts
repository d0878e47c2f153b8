import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { KubeError } from './kube-error.ts';
import { splitLines, watchEvents } from './watch-stream.ts';

async function* from(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

describe('watch stream', () => {
  it('gives the same lines wherever the chunks are cut', async () => {
    const line = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', ''));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(fc.nat()), async (lines, places) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        assert.deepEqual(await collect(splitLines(from(cut(bytes, places)), 1 << 20)), bytes.toString('utf8').split('\n').slice(0, -1));
      }),
    );
  });

  it('throws a KubeError, and nothing else, for any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.json(), fc.string())), async (lines) => {
        try {
          await collect(watchEvents(from([Buffer.from(`${lines.join('\n')}\n`)])));
        } catch (error) {
          assert.ok(error instanceof KubeError);
        }
      }),
    );
  });

  it('refuses a line above the bound before it has all of it', async () => {
    let taken = 0;
    const endless = (async function* () {
      for (;;) {
        taken++;
        yield Buffer.alloc(1_000, 'x');
      }
    })();
    await assert.rejects(collect(splitLines(endless, 10_000)), KubeError);
    assert.equal(taken, 11);
  });
});
