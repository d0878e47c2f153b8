import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Login } from '../../support/openssh-client.ts';
import { ENDPOINT, NAMESPACE, type Stage } from '../stage.ts';
import { type Partners, sha256 } from './main-job.ts';

const REPLICAS = 3;
const AT_ONCE = 3;
const LONG_TRANSFERS = 4;
const LONG_BYTES = 8 * 1024 * 1024;
/** With -l, in Kbit/s: 8 MiB take some 25 s. */
const LONG_KBITS = 2_600;
export const DEPLOYMENT = `deployment/skiff-${ENDPOINT}`;
export const SERVER_PODS = `app.kubernetes.io/instance=skiff-${ENDPOINT},app.kubernetes.io/component=sftp-server`;

interface Tally {
  connected: number;
  mismatches: number;
  readonly failures: string[];
}

/** Three replicas; strict-host-key logins and slow transfers while pods are deleted and the Deployment rolls. */
export async function rollUnderLoad(stage: Stage, { alice }: Partners, connects: number): Promise<void> {
  const { kube, checks } = stage;
  await kube.run(['-n', NAMESPACE, 'patch', 'sftpendpoint', ENDPOINT, '--type=merge', '-p', JSON.stringify({ spec: { replicas: REPLICAS } })]);
  await kube.eventually('third replica', async () => {
    const ready = await kube.value(['-n', NAMESPACE, 'get', DEPLOYMENT], '{.status.readyReplicas}');
    return ready === String(REPLICAS) ? ready : undefined;
  });
  const tally: Tally = { connected: 0, mismatches: 0, failures: [] };
  const transfers = sendSlowly(stage, alice);
  const logins = logInMany(stage, alice, { connects, tally });
  const disturbances = disturb(stage);
  const [cut] = await Promise.all([transfers, logins, disturbances]);
  checks.add('rolling: strict-host-key logins while pods are deleted and the Deployment rolls', tally.connected, `of ${connects}`, `== ${connects}`);
  checks.add('rolling: host-key mismatches', tally.mismatches, '', '== 0');
  checks.add('rolling: transfers cut inside the grace period', cut, `of ${LONG_TRANSFERS}`, '== 0');
  if (tally.failures.length > 0) console.error(tally.failures.slice(0, 5).join('\n'));
}

async function logInMany({ client }: Stage, login: Login, { connects, tally }: { readonly connects: number; readonly tally: Tally }): Promise<void> {
  const strict: Login = { ...login, options: ['-o', 'StrictHostKeyChecking=yes'] };
  let left = connects;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const { exitCode, stderr } = await client.sftp(strict, ['pwd']);
      if (exitCode === 0) tally.connected += 1;
      else tally.failures.push(`${new Date().toISOString()} ${stderr.trim()}`);
      if (/Host key verification failed|IDENTIFICATION HAS CHANGED/.test(stderr)) tally.mismatches += 1;
      await sleep(250);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** How many of the slow transfers did not arrive whole. */
async function sendSlowly({ client, dir }: Stage, login: Login): Promise<number> {
  const slow: Login = { ...login, options: ['-l', String(LONG_KBITS)] };
  const outcomes = Array.from({ length: LONG_TRANSFERS }, async (_, index) => {
    const content = randomBytes(LONG_BYTES);
    const local = join(dir, `slow-${index}.bin`);
    await writeFile(local, content);
    const sent = await client.sftp(slow, [`put ${local} /slow-${index}.bin`]);
    if (sent.exitCode !== 0) {
      console.error(`slow transfer ${index}: ${sent.stderr.trim()}`);
      return false;
    }
    const back = await client.sftp(login, [`get /slow-${index}.bin ${local}.back`]);
    return back.exitCode === 0 && sha256(await readFile(`${local}.back`)) === sha256(content);
  });
  return (await Promise.all(outcomes)).filter((arrived) => !arrived).length;
}

/** Every pod is deleted once, one after the other, and then all are replaced by a rollout. */
async function disturb({ kube }: Stage): Promise<void> {
  await sleep(3_000);
  const names = (await kube.value(['-n', NAMESPACE, 'get', 'pods', '-l', SERVER_PODS], '{.items[*].metadata.name}')).split(' ');
  for (const name of names) {
    await kube.run(['-n', NAMESPACE, 'delete', 'pod', name, '--wait=false']);
    await sleep(6_000);
  }
  await kube.run(['-n', NAMESPACE, 'rollout', 'restart', DEPLOYMENT]);
  await kube.rolledOut(NAMESPACE, [DEPLOYMENT], 180);
}
