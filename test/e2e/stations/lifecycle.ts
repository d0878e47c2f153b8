import { chartOf, ENDPOINT, NAMESPACE, RELEASE, type Stage, SYSTEM_NAMESPACE } from '../stage.ts';
import type { Partners } from './main-job.ts';

/** `helm test` sends a file by itself; `helm upgrade` disturbs nobody; `helm uninstall` leaves data and service. */
export async function testChart({ kube, checks }: Stage): Promise<void> {
  const startedAt = performance.now();
  try {
    await kube.helm(['test', RELEASE, '-n', SYSTEM_NAMESPACE, '--timeout', '3m']);
  } catch (error) {
    throw new Error(`helm test failed\n${await kube.run(['-n', SYSTEM_NAMESPACE, 'logs', `${RELEASE}-smoke-test`])}`, { cause: error });
  }
  checks.add('helm test: a real upload', (performance.now() - startedAt) / 1_000, 's', '<= 60');
}

export async function upgradeAndUninstall({ kube, checks, client, product }: Stage, { alice }: Partners): Promise<void> {
  const session = client.sftp(alice, ['!sleep 20', 'pwd']);
  await kube.helm([
    'upgrade',
    RELEASE,
    chartOf(product),
    '-n',
    SYSTEM_NAMESPACE,
    '--reset-then-reuse-values',
    '--set',
    'operator.logLevel=debug',
    '--wait',
    '--timeout',
    '3m',
  ]);
  const survived = (await session).exitCode === 0;
  checks.add('helm upgrade: a live session goes on', survived ? 1 : 0, 'of 1', '== 1');
  const said = await kube.helm(['get', 'notes', RELEASE, '-n', SYSTEM_NAMESPACE]);
  checks.add('helm uninstall: the notes say what stays', said.includes('stay') ? 1 : 0, 'of 1', '== 1');
  await kube.helm(['uninstall', RELEASE, '-n', SYSTEM_NAMESPACE, '--wait']);
  const left = await kube.value(['-n', NAMESPACE, 'get', 'sftpendpoints,sftpusers,eventroutes'], '{.items[*].metadata.name}');
  checks.add('helm uninstall: endpoint, users and route are still there', left.split(' ').length, '', '>= 4');
  const after = await client.sftp(alice, ['ls']);
  checks.add(`helm uninstall: ${ENDPOINT} goes on serving`, after.exitCode === 0 ? 1 : 0, 'of 1', '== 1');
}
