import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SftpUsers } from '@skiff/kube/resource-type';
import { type Login, OpenSshClient } from '../../support/openssh-client.ts';
import { letsIn, SftpTestClient } from '../../support/sftp-test-client.ts';
import { userManifest } from '../manifests.ts';
import { until } from '../until.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';
import { SftpServers } from './sftp-servers.ts';

const NAMESPACE = 'outage';
const SIZES = { short: { outageMs: 15_000 }, full: { outageMs: 60_000 } } as const;
/** K2. */
const CONVERGED_LIMIT_S = 30;
const UPLOADERS = 2;
const UPLOAD_BYTES = 64 * 1024;
/** Of one upload, login included, on a busy machine. */
const UPLOAD_LIMIT_S = 15;

/** The API server is killed under uploads and comes back later: see the checks. */
export const apiServerDown: Scenario = { name: 'API server down', namespaces: [NAMESPACE], run };

async function run({ rig, checks, size, progress }: ScenarioContext): Promise<void> {
  const { outageMs } = SIZES[size];
  const ids = await rig.controlPlane.processIds();
  if (ids === undefined) {
    progress('left out: the cluster is not ours to stop');
    return;
  }
  const operators = [await rig.startOperator('outage-a'), await rig.startOperator('outage-b')];
  await Promise.any(operators.map((operator) => operator.waitFor('leadership', ({ msg }) => msg === 'leading', 60_000)));
  await using servers = await SftpServers.start(rig, NAMESPACE, 1);
  const { keyFile, publicKey } = await servers.newKey();
  const authorizedKeys = [{ name: 'laptop', publicKey }];
  const names = ['uploader', 'resident', 'leaver'];
  for (const name of names) await rig.apply(userManifest(NAMESPACE, name, { authorizedKeys }));
  const loginOf = (username: string) => servers.logins(username, { keyFile })[0];
  const [uploader, resident, leaver, newcomer] = [...names, 'newcomer'].map(loginOf);
  if (uploader === undefined || resident === undefined || leaver === undefined || newcomer === undefined) throw new Error('no server');
  const session = await SftpTestClient.connectEventually(resident);
  for (const login of [uploader, leaver]) await until(`a login of ${login.username}`, true, () => letsIn(login));

  const uploads = startUploads(servers.dir, { login: uploader, file: keyFile });
  await sleep(2_000);
  process.kill(ids['kube-apiserver'], 'SIGKILL');
  const killedAt = performance.now();
  progress('API server killed');
  let kept = 0;
  while (performance.now() - killedAt < outageMs) {
    await session.put('/kept.bin', Buffer.alloc(UPLOAD_BYTES));
    kept++;
    await sleep(500);
  }
  const nobodyLed = operators.every(({ lines }) => lines.findLast(({ msg }) => msg === 'leading' || msg === 'led no longer')?.msg !== 'leading');
  await rig.controlPlane.revive();
  const backAt = performance.now();
  const leaving = await SftpTestClient.connect(leaver);
  await rig.apply(userManifest(NAMESPACE, 'newcomer', { authorizedKeys }));
  await rig.client.mergePatch(SftpUsers, { namespace: NAMESPACE, name: 'leaver' }, { spec: { suspend: true } }, { signal: AbortSignal.timeout(20_000) });
  await until('a login of who came after the outage', true, () => letsIn(newcomer), 3_000 * CONVERGED_LIMIT_S);
  const isOut = await Promise.race([leaving.ended.then(() => true), sleep(3_000 * CONVERGED_LIMIT_S, false, { ref: false })]);
  if (!isOut) throw new Error('who was suspended after the outage goes on');
  const inForceMs = performance.now() - backAt;
  await until('readiness of who came after the outage', 'True Ready', () => rig.condition(SftpUsers, 'newcomer', 'Ready', NAMESPACE));
  const convergedMs = performance.now() - backAt;
  const done = await uploads.stop();
  session.end();
  progress(`back after ${Math.round((backAt - killedAt) / 1_000)} s, in force ${Math.round(inForceMs)} ms later`);
  checks.add('API server down: for', (backAt - killedAt) / 1_000, 's', `>= ${outageMs / 1_000}`);
  checks.add('API server down: sftp uploads from login to rename', done.ok, 'uploads', '>= 5');
  checks.add('API server down: uploads that failed', done.failed.length, 'uploads', '== 0');
  for (const failure of done.failed.slice(0, 3)) progress(`✘ ${failure}`);
  checks.add('API server down: slowest upload', done.slowestMs / 1_000, 's', `<= ${UPLOAD_LIMIT_S}`);
  checks.add('API server down: files over a session that was there before', kept, 'files', '>= 5');
  checks.add('API server down: nobody led without a lease', nobodyLed ? 1 : 0, '', '== 1');
  checks.add('API server down: a change right after is in force', inForceMs / 1_000, 's', `<= ${CONVERGED_LIMIT_S}`);
  checks.add('API server down: and said so in its status', convergedMs / 1_000, 's', `<= ${CONVERGED_LIMIT_S}`);
  checks.add('API server down: operators that ended over it', operators.filter(({ running }) => !running).length, '', '== 0');
  await Promise.all(operators.map((operator) => operator.stop()));
}

interface Uploads {
  stop(): Promise<{ readonly ok: number; readonly failed: readonly string[]; readonly slowestMs: number }>;
}

/** The system's own `sftp`, one login for each file, over and over. */
function startUploads(dir: string, { login, file }: { readonly login: Login; readonly file: string }): Uploads {
  const client = new OpenSshClient(join(dir, 'uploader'));
  const stop = new AbortController();
  const failed: string[] = [];
  let ok = 0;
  let slowestMs = 0;
  const upload = async (index: number): Promise<void> => {
    for (let count = 0; !stop.signal.aborted; count++) {
      const name = `up-${index}-${count}`;
      const result = await client.sftp(login, [`put ${file} ${name}.part`, `rename ${name}.part ${name}`]);
      slowestMs = Math.max(slowestMs, result.elapsedMs);
      if (result.exitCode === 0) ok++;
      else failed.push(result.stderr);
    }
  };
  const running = Promise.all(Array.from({ length: UPLOADERS }, (_, index) => upload(index)));
  return {
    async stop() {
      stop.abort();
      await running;
      return { ok, failed, slowestMs };
    },
  };
}
