import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startAzure } from './azure.ts';
import { endOnSignal } from './emulator-main.ts';

/**
 * `node test/emulators/azure-main.ts --queue files --container partners [--dir work]`: runs until SIGINT or SIGTERM. Progress goes
 * to standard error; one JSON line with the environment and the addresses goes to standard output when all are up.
 */
const { values } = parseArgs({
  options: { dir: { type: 'string' }, queue: { type: 'string', multiple: true }, container: { type: 'string', multiple: true } },
});
const dir = values.dir ?? (await mkdtemp(join(tmpdir(), 'skiff-azure-')));
const azure = await startAzure({
  dir,
  queues: values.queue ?? [],
  containers: values.container ?? [],
  durableBlobs: values.dir !== undefined,
  onProgress: (line) => console.error(line),
});
endOnSignal(async () => {
  await azure.stop();
  if (values.dir === undefined) await rm(dir, { recursive: true });
});
const { env, blobEndpoint, serviceBusAddress, serviceBus } = azure;
console.log(JSON.stringify({ env, blobEndpoint, serviceBus: serviceBusAddress, connectionString: serviceBus.connectionString }));
