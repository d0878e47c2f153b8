import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Checks } from '../support/checks.ts';
import { startDemo } from './start-demo.ts';
import { walkStations } from './stations.ts';

const HELP = `make demo: the whole service on this machine, with a real file sent through it.

  make demo          stays up afterwards; Ctrl-C ends it and leaves nothing behind
  make demo ONCE=1   ends by itself: exit 0 only if every station was seen; figures in out/demo.json
`;

const { values } = parseArgs({ options: { once: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } } });
if (values.help) {
  process.stdout.write(HELP);
} else {
  process.exitCode = await main(values.once);
}

async function main(once: boolean): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-demo-'));
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());
  const startedAt = performance.now();
  const demo = await startDemo(dir, interrupted.signal).catch(async (error: unknown) => {
    await rm(dir, { recursive: true, force: true });
    if (interrupted.signal.aborted) return undefined;
    throw error;
  });
  if (demo === undefined) return 130;
  try {
    const checks = new Checks('demo');
    await walkStations(demo, checks);
    // The promise of the README: a minute from the end of the installation to the last station.
    checks.add('from start to last station', (performance.now() - startedAt) / 1000, 's', '<= 60');
    console.log('\nWhat was seen');
    const ok = checks.finish();
    if (once || interrupted.signal.aborted) return ok ? 0 : 1;
    printInvitation(demo);
    await new Promise((resolve) => {
      if (interrupted.signal.aborted) resolve(undefined);
      interrupted.signal.addEventListener('abort', resolve, { once: true });
    });
    console.log('\nEnding; nothing is left behind.');
    return ok ? 0 : 1;
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
    console.error(demo.skiff.describe());
    return 1;
  } finally {
    await demo.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

function printInvitation(demo: Awaited<ReturnType<typeof startDemo>>): void {
  console.log(`
It stays up. In another terminal:

  sftp -i ${demo.keyFile} -P ${demo.port} alice@127.0.0.1          (by key)
  sftp -P ${demo.port} bob@127.0.0.1                               (password: ${demo.password})

Things to try
  - put a file, and watch the event arrive below
  - edit ${join(demo.manifests, 'users.yaml')}: effective in seconds
  - add "suspend: true" below bob's spec: his session ends
  - break the YAML: the log says where, and the last good version stays in force

Ctrl-C ends it and leaves nothing behind.
`);
}
