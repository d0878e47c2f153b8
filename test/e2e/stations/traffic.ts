import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Login } from '../../support/openssh-client.ts';
import { SftpTestClient } from '../../support/sftp-test-client.ts';
import type { Stage } from '../stage.ts';
import { deliveries } from './main-job.ts';

const SESSIONS = 8;
const TRANSFERS = 4;
/** With -l, in Kbit/s: each takes some 13 s. */
const TRANSFER_KBITS = 2_600;
const TRANSFER_BYTES = 4 * 1024 * 1024;
const SMALL_BYTES = 20_000;
const EVENTS_TIMEOUT_MS = 90_000;

export interface Outcome {
  /** Names of files whose close was acknowledged. */
  readonly acknowledged: readonly string[];
  readonly sessions: number;
  /** Sessions that ended before they wanted to. */
  readonly sessionsCut: number;
  readonly transfers: number;
  readonly transfersCut: number;
  readonly logins: number;
  readonly loginsRefused: number;
}

export interface Traffic {
  /** Lets everything come to its own end. */
  stop(): Promise<Outcome>;
}

/** Sessions that stay, write a file all along and send a small one twice a second, slow transfers one after the other, and ever new strict-host-key logins. */
export async function startTraffic({ client, dir }: Stage, logins: readonly Login[]): Promise<Traffic> {
  const run = randomBytes(4).toString('hex');
  const acknowledged: string[] = [];
  const tally = { sessionsCut: 0, transfers: 0, transfersCut: 0, logins: 0, loginsRefused: 0 };
  const stopped = new AbortController();
  const loginOf = (index: number): Login => {
    const login = logins[index % logins.length];
    if (login === undefined) throw new Error('no login was given');
    return login;
  };
  const big = join(dir, `${run}.bin`);
  await writeFile(big, randomBytes(TRANSFER_BYTES));

  const session = async (index: number): Promise<void> => {
    const sftp = await SftpTestClient.connect(loginOf(index));
    const held = `held-${run}-${index}`;
    try {
      // A draining server ends sessions that look idle to it: one with an upload under way is not.
      const handle = await sftp.open(`/${held}`, 'w');
      for (let sent = 0; !stopped.signal.aborted; sent++) {
        await sftp.write(handle, randomBytes(SMALL_BYTES), sent * SMALL_BYTES);
        const name = `small-${run}-${index}-${sent}`;
        await sftp.put(`/${name}`, randomBytes(SMALL_BYTES));
        acknowledged.push(name);
        await sleep(500);
      }
      await sftp.close(handle);
      acknowledged.push(held);
    } catch (error) {
      tally.sessionsCut += 1;
      console.error(`${new Date().toISOString()} session ${index}: ${error}`);
    } finally {
      sftp.end();
    }
  };
  const transfer = async (index: number): Promise<void> => {
    const login = { ...loginOf(index), options: ['-l', String(TRANSFER_KBITS)] };
    for (let sent = 0; !stopped.signal.aborted; sent++) {
      const name = `slow-${run}-${index}-${sent}`;
      const { exitCode, stderr } = await client.sftp(login, [`put ${big} /${name}`]);
      tally.transfers += 1;
      if (exitCode === 0) acknowledged.push(name);
      else {
        tally.transfersCut += 1;
        console.error(`${new Date().toISOString()} slow transfer ${index}: ${stderr.trim()}`);
      }
    }
  };
  const knock = async (): Promise<void> => {
    for (let count = 0; !stopped.signal.aborted; count++) {
      const { exitCode, stderr } = await client.sftp({ ...loginOf(count), options: ['-o', 'StrictHostKeyChecking=yes'] }, ['pwd']);
      tally.logins += 1;
      if (exitCode !== 0) {
        tally.loginsRefused += 1;
        console.error(`${new Date().toISOString()} login: ${stderr.trim()}`);
      }
      await sleep(250);
    }
  };
  const workers = [
    ...Array.from({ length: SESSIONS }, (_, index) => session(index)),
    ...Array.from({ length: TRANSFERS }, (_, index) => transfer(index)),
    knock(),
  ];
  // Whoever fails before `stop` is asked about is told of there.
  for (const worker of workers) worker.catch(() => undefined);
  return {
    async stop() {
      stopped.abort();
      await Promise.all(workers);
      return { acknowledged, sessions: SESSIONS, ...tally };
    },
  };
}

/** How many of these files the application was never told of; waits for those that are under way. And how many events told of one of them again. */
export async function countUntold({ kube }: Stage, names: readonly string[]): Promise<{ readonly untold: number; readonly repeated: number }> {
  const wanted = new Set(names);
  const look = async () => {
    const ids = new Map<string, Set<string>>();
    for (const { event } of await deliveries(kube)) {
      const name = (event.data.path ?? '').split('/').at(-1) ?? '';
      if (wanted.has(name)) ids.set(name, (ids.get(name) ?? new Set()).add(event.id));
    }
    const repeated = [...ids.values()].reduce((sum, { size }) => sum + size - 1, 0);
    return { untold: wanted.size - ids.size, repeated };
  };
  const startedAt = performance.now();
  for (;;) {
    const seen = await look();
    if (seen.untold === 0 || performance.now() - startedAt > EVENTS_TIMEOUT_MS) return seen;
    await sleep(1_000);
  }
}
