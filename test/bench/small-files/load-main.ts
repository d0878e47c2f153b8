// Partners: sends small files at a fixed rate over a few sessions, whether or not earlier ones are answered (an open loop).
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Value } from 'typebox/value';
import { SftpTestClient } from '../../support/sftp-test-client.ts';
import { machineMs } from './clock.ts';
import { type Load, type LoadResult, LoadSchema, type Uploaded } from './messages.ts';

process.on('message', (message: unknown) => {
  Value.Assert(LoadSchema, message);
  run(message).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ uploads: [], failure: String(error) } satisfies LoadResult),
  );
});
process.on('disconnect', () => process.exit(0));

async function run(load: Load): Promise<LoadResult> {
  const { host, port, username, keyFile } = load;
  const clients: SftpTestClient[] = [];
  for (let index = 0; index < load.sessions; index++) clients.push(await SftpTestClient.connect({ host, port, username, credential: { keyFile } }));
  await clients[0]?.makeDirectory(load.directory);
  const content = randomBytes(load.sizeBytes);
  const total = Math.round(load.ratePerSecond * load.seconds);
  const begunMs = machineMs();
  const running: Promise<Uploaded>[] = [];
  let failure = '';
  while (running.length < total) {
    const dueMs = begunMs + (running.length * 1000) / load.ratePerSecond;
    const waitMs = dueMs - machineMs();
    if (waitMs > 0.5) {
      await sleep(waitMs);
      continue;
    }
    const path = `${load.directory}/f${running.length}`;
    const client = clients[running.length % clients.length];
    if (client === undefined) throw new Error('no session');
    running.push(
      upload(client, { path, content, dueMs }).catch((error: unknown) => {
        failure = String(error);
        return { path, dueMs, closedMs: null, closeMs: 0 };
      }),
    );
  }
  const uploads = await Promise.all(running);
  for (const client of clients) client.end();
  return { uploads, failure };
}

async function upload(client: SftpTestClient, file: { readonly path: string; readonly content: Buffer; readonly dueMs: number }): Promise<Uploaded> {
  const handle = await client.open(file.path, 'w');
  await client.write(handle, file.content);
  const closingMs = machineMs();
  await client.close(handle);
  const closedMs = machineMs();
  return { path: file.path, dueMs: file.dueMs, closedMs, closeMs: closedMs - closingMs };
}
