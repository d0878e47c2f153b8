import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseVirtualPath, toBlobName, toJail } from '@skiff/model/virtual-path';
import { createEventFileOpener } from '@skiff/router/event-file';
import { nodeFlagsOf } from '@skiff/skiff/node-flags';
import { createMemoryStore } from '@skiff/storage/memory';
import { uploadedInput } from '../messaging/target-input.ts';

const GIB = 1024 ** 3;
const never = new AbortController().signal;

/** An application in a process of its own, so that this one's memory is the router's alone. */
async function startSink(): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = fork(fileURLToPath(new URL('./file-sink-main.ts', import.meta.url)), { stdio: 'ignore' });
  child.on('error', () => undefined);
  const [message] = await once(child, 'message', { signal: AbortSignal.timeout(20_000) });
  return { child, url: `http://127.0.0.1:${message.port}/upload` };
}

async function bytesOf(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of content) parts.push(part);
  return Buffer.concat(parts);
}

it('posts a file of 1 GiB whole, with no more than 64 MiB of memory', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-file-'));
  const sink = await startSink();
  t.after(async () => {
    sink.child.kill();
    await rm(dir, { recursive: true });
  });
  await writeFile(join(dir, 'big.bin'), 'skiff');
  await truncate(join(dir, 'big.bin'), GIB);
  const main = fileURLToPath(new URL('./file-sender-main.ts', import.meta.url));
  const sender = fork(main, [dir, '/big.bin', sink.url], { execArgv: [...nodeFlagsOf('router')] });
  sender.on('error', () => undefined);
  t.after(() => sender.kill());
  const begun = performance.now();
  const [sent] = await once(sender, 'message', { signal: AbortSignal.timeout(120_000) });
  t.diagnostic(`RSS grew by ${sent.grownMiB.toFixed(1)} MiB; ${(1024 / ((performance.now() - begun) / 1000)).toFixed(0)} MiB/s with the start of the process`);
  assert.deepEqual(sent.outcome, { kind: 'delivered', detail: 'HTTP 200' });
  sink.child.send('report');
  const [report] = await once(sink.child, 'message', { signal: AbortSignal.timeout(5000) });
  assert.deepEqual(report, { bytes: GIB, start: 'skiff', etag: encodeURIComponent(sent.etag) });
  assert.ok(sent.grownMiB <= 64, `${sent.grownMiB} MiB`);
});

it('reads the version that the event tells of and no other', async () => {
  const store = createMemoryStore();
  const name = toBlobName(toJail('', ''), parseVirtualPath('/anna/a.csv'));
  const put = (text: string) => store.put(name, { parts: [Buffer.from(text)], sizeBytes: text.length }, { metadata: {}, signal: never });
  const { etag } = await put('one');
  const open = createEventFileOpener(store);
  const event = (blob: object) => uploadedInput('e', { sizeBytes: 3, blob: { container: store.container, name, url: 'x', ...blob } }).event;
  const textOf = async (blob: object): Promise<string> => {
    const file = await open(event(blob), never);
    return (await bytesOf(file.content)).toString();
  };
  assert.equal(await textOf({ etag }), 'one');
  assert.equal(await textOf({}), 'one');
  const opened = await open(event({ etag }), never);
  await put('other');
  await assert.rejects(bytesOf(opened.content), { code: 'conflict' });
  await assert.rejects(textOf({ etag }), { code: 'conflict' });
  await assert.rejects(textOf({}), { code: 'conflict' });
  await assert.rejects(textOf({ container: 'elsewhere' }), { code: 'notFound' });
  await assert.rejects(textOf({ name: '../secret' }), { code: 'notFound' });
  await assert.rejects(textOf({ name: 'anna/none' }), { code: 'notFound' });
});
