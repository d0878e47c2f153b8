import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Checks } from '../support/checks.ts';
import { startCluster, UnfitMachineError } from './cluster/cluster.ts';
import { buildImages, presentImages } from './cluster/images.ts';
import { Kubectl } from './cluster/kubectl.ts';
import { clearStage, setStage } from './stage.ts';
import { changeUsers } from './stations/changes.ts';
import { testChart, upgradeAndUninstall } from './stations/lifecycle.ts';
import { addressTowards, applyQuickstart, doMainJob, findPartners } from './stations/main-job.ts';
import { rollUnderLoad } from './stations/rolling.ts';
import { inspectSecrets } from './stations/secrets.ts';

const HELP = `make e2e: a real cluster from nothing, the chart, the quickstart, and partners who log in from outside.

  --keep      leave the cluster and everything in it for a look; the next run uses it
  --no-build  take the images of the run before

Environment
  SKIFF_E2E_KUBECONFIG                          a cluster to use in place of a node of this machine; it needs
  SKIFF_E2E_IMAGE, SKIFF_E2E_PARTS_IMAGE        images that it can pull
`;
/** The load balancer's range of the node that kube-up.sh makes. */
const LOAD_BALANCER = '198.18.0.1';
const CLEAR_TIMEOUT_MS = 5 * 60_000;

const { values } = parseArgs({
  options: { keep: { type: 'boolean', default: false }, 'no-build': { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
});
if (values.help) process.stdout.write(HELP);
else process.exitCode = await main(values.keep, !values['no-build']);

async function main(keep: boolean, build: boolean): Promise<number> {
  const startedAt = performance.now();
  const dir = await mkdtemp(join(tmpdir(), 'skiff-e2e-'));
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted.abort());
  const { signal } = interrupted;
  const step = (what: string): void => console.log(`\u001b[1m==>\u001b[0m ${what} (${Math.round((performance.now() - startedAt) / 1_000)} s)`);
  const checks = new Checks('e2e');
  let stop: () => Promise<void> = () => Promise.resolve();
  try {
    step('Starting the cluster');
    const cluster = await startCluster({ keep, signal });
    stop = async () => {
      if (cluster.given && !keep) await clearStage(new Kubectl({ env: cluster.env, signal: AbortSignal.timeout(CLEAR_TIMEOUT_MS) }));
      await cluster.stop();
    };
    step(build ? 'Building the images' : 'Using the images of the run before');
    const images = build ? await buildImages(dir, signal) : presentImages();
    if (images.skiffBytes !== undefined) checks.add('image, unpacked', images.skiffBytes / 1_000_000, 'MB', '<= 260');
    step('Starting MariaDB, emulated Azure and the application, installing the chart');
    const stage = await setStage({ cluster, images, checks, dir, signal });
    step('Applying the quickstart');
    await applyQuickstart(stage, await addressTowards(LOAD_BALANCER));
    const partners = await findPartners(stage);
    step('Sending files through the LoadBalancer');
    await doMainJob(stage, partners);
    step('helm test');
    await testChart(stage);
    step('200 logins and slow transfers while pods go');
    await rollUnderLoad(stage, partners);
    step('100 changes of users with live sessions');
    await changeUsers(stage);
    step('Looking for secrets where none belong');
    await inspectSecrets(stage);
    step('Upgrading and uninstalling');
    await upgradeAndUninstall(stage, partners);
    checks.add('the whole run', (performance.now() - startedAt) / 60_000, 'min', '<= 40');
    return checks.finish() ? 0 : 1;
  } catch (error) {
    if (signal.aborted) return 130;
    console.error(error instanceof UnfitMachineError ? error.message : error);
    return 1;
  } finally {
    if (keep) console.log('The cluster stays; test/cluster/kube-down.sh ends it.');
    await stop();
    await rm(dir, { recursive: true, force: true });
  }
}
