// Posts one file of a directory, in a process whose memory is the router's alone. Arguments: directory, blob name, URL.
import { createHttpTarget } from '@skiff/messaging/http-target';
import { parseVirtualPath, toBlobName, toJail } from '@skiff/model/virtual-path';
import { createEventFileOpener } from '@skiff/router/event-file';
import { createLocalStore } from '@skiff/storage/local';
import { uploadedInput } from '../messaging/target-input.ts';

const [dir = '', file = '', url = ''] = process.argv.slice(2);
const never = new AbortController().signal;
const store = await createLocalStore({ root: dir });
const name = toBlobName(toJail('', ''), parseVirtualPath(file));
const stored = await store.stat(name, never);
const target = createHttpTarget({
  url,
  format: 'Structured',
  headers: [],
  timeoutMs: 120_000,
  userAgent: 'skiff/test',
  addresses: { allow: ['127.0.0.1'] },
  openFile: createEventFileOpener(store),
});
const sizeBytes = stored?.sizeBytes ?? 0;
const input = uploadedInput('big', { sizeBytes, blob: { container: store.container, name, url: 'x', etag: stored?.etag ?? '' } });
const before = process.memoryUsage().rss;
let peak = before;
const sampler = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage().rss);
}, 20);
const outcome = await target.deliver(input, never);
clearInterval(sampler);
await target.close();
process.send?.({ outcome, grownMiB: (peak - before) / 1024 ** 2, etag: stored?.etag });
process.disconnect();
