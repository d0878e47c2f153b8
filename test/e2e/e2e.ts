import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Checks } from '../support/checks.ts';
import { PREVIOUS_COMMIT, unpackPrevious } from '../support/previous-version.ts';
import { type Cluster, startCluster, UnfitMachineError } from './cluster/cluster.ts';
import { buildImages, buildPreviousImage, type Images, namedImages } from './cluster/images.ts';
import { Kubectl } from './cluster/kubectl.ts';
import { bundleParts } from './parts/bundle-parts.ts';
import { clearStage, NAMESPACE, RELEASE, SYSTEM_NAMESPACE, setStage, thisVersion } from './stage.ts';
import { changeUsers } from './stations/changes.ts';
import { testChart, upgradeAndUninstall } from './stations/lifecycle.ts';
import { addressTowards, applyQuickstart, doMainJob, findPartners } from './stations/main-job.ts';
import { rollUnderLoad } from './stations/rolling.ts';
import { inspectSecrets } from './stations/secrets.ts';
import { captureWorkloads, runSideBySide } from './stations/side-by-side.ts';
import { upgradeUnderLoad } from './stations/upgrade.ts';

const HELP = `make e2e: a real cluster from nothing, the chart, the quickstart, and partners who log in from outside; then the version before,
its upgrade under load, and both versions side by side.

  --keep       leave the cluster and everything in it for a look; the next run uses it
  --no-build   take the product's image of the run before
  --only ACT   main or upgrade
  --long       more of everything; make e2e-long
  --parts DIR  only write the build context of the parts' image into DIR: MariaDB, emulated Azure, the application

A cluster of yours, in place of a node of this machine. It is one for tests: the release ${RELEASE} of ${SYSTEM_NAMESPACE}, all Skiff resources of the
namespace ${NAMESPACE} and the CRDs are removed at the beginning and at the end. Its load balancers must be reachable from here.
  SKIFF_E2E_KUBECONFIG      how to get there
  SKIFF_E2E_IMAGE           docker build -f deploy/image/Dockerfile -t IMAGE . && docker push IMAGE
  SKIFF_E2E_PARTS_IMAGE     tools/node test/e2e/e2e.ts --parts DIR && docker build --build-arg BASE_IMAGE=node:24-bookworm-slim -t IMAGE DIR && docker push IMAGE
  SKIFF_E2E_PREVIOUS_IMAGE  as the first, from commit ${PREVIOUS_COMMIT}; without it the second act is left out
  SKIFF_E2E_CLIENT_ADDRESS  this machine's address as the cluster sees it, where it is translated on the way
`;
/** The load balancer's range of the node that kube-up.sh makes. */
const LOAD_BALANCER = '198.18.0.1';
const CLEAR_TIMEOUT_MS = 5 * 60_000;
const SHORT = { logins: 200, changeRounds: 5, upgradeUsers: 1_000, minutes: 40 };
const LONG = { logins: 1_000, changeRounds: 25, upgradeUsers: 4_000, minutes: 90 };

const { values } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    'no-build': { type: 'boolean', default: false },
    only: { type: 'string' },
    long: { type: 'boolean', default: false },
    parts: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) process.stdout.write(HELP);
else if (values.parts !== undefined) await bundleParts(values.parts);
else process.exitCode = await main();

interface Run {
  readonly cluster: Cluster;
  readonly images: Images;
  readonly checks: Checks;
  readonly dir: string;
  readonly sizes: typeof SHORT;
  readonly signal: AbortSignal;
  readonly step: (what: string) => void;
}

async function main(): Promise<number> {
  const { keep, long } = values;
  const startedAt = performance.now();
  const dir = await mkdtemp(join(tmpdir(), 'skiff-e2e-'));
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted.abort());
  const { signal } = interrupted;
  const step = (what: string): void => console.log(`\u001b[1m==>\u001b[0m ${what} (${Math.round((performance.now() - startedAt) / 1_000)} s)`);
  const checks = new Checks(long ? 'e2e-long' : 'e2e');
  let stop: () => Promise<void> = () => Promise.resolve();
  try {
    step('Starting the cluster');
    const cluster = await startCluster({ keep, signal });
    stop = async () => {
      if (cluster.given && !keep) await clearStage(new Kubectl({ env: cluster.env, signal: AbortSignal.timeout(CLEAR_TIMEOUT_MS) }));
      await cluster.stop();
    };
    step(cluster.given ? 'Taking the images that were named' : 'Building the images');
    const images = cluster.given ? namedImages() : await buildImages(dir, !values['no-build'], signal);
    if (images.skiffBytes !== undefined) checks.add('image, unpacked', images.skiffBytes / 1_000_000, 'MB', '<= 260');
    const sizes = long ? LONG : SHORT;
    const run = { cluster, images, checks, dir, sizes, signal, step };
    if (values.only !== 'upgrade') await playMain(run);
    if (values.only !== 'main') await playUpgrade(run);
    checks.add('the whole run', (performance.now() - startedAt) / 60_000, 'min', `<= ${sizes.minutes}`);
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

/** From nothing to partners, through pods that go and users who change, to `helm uninstall`. */
async function playMain({ images, sizes, step, ...props }: Run): Promise<void> {
  step('Starting MariaDB, emulated Azure and the application, installing the chart');
  const stage = await setStage({ ...props, dir: join(props.dir, 'main'), partsImage: images.parts, product: thisVersion(images.skiff) });
  step('Applying the quickstart');
  await applyQuickstart(stage, await addressTowards(LOAD_BALANCER));
  const partners = await findPartners(stage);
  step('Sending files through the LoadBalancer');
  await doMainJob(stage, partners);
  step('helm test');
  await testChart(stage);
  step(`${sizes.logins} logins and slow transfers while pods go`);
  await rollUnderLoad(stage, partners, sizes.logins);
  step(`${20 * sizes.changeRounds} changes of users with live sessions`);
  await changeUsers(stage, sizes.changeRounds);
  step('Looking for secrets where none belong');
  await inspectSecrets(stage);
  step('Upgrading and uninstalling');
  await upgradeAndUninstall(stage, partners);
}

/** The version before with many users, its upgrade to this one under load, and then pods of both. */
async function playUpgrade({ images, sizes, step, ...props }: Run): Promise<void> {
  const { checks, dir, signal } = props;
  const checkout = join(dir, 'previous');
  const found = await unpackPrevious(checkout, signal);
  if (found && !props.cluster.given) step(`Building the image of the version before, ${PREVIOUS_COMMIT}`);
  const image = found && !props.cluster.given ? await buildPreviousImage(checkout, PREVIOUS_COMMIT, signal) : images.previous;
  if (!found || image === undefined) {
    checks.add(`upgrade: NOT RUN, ${found ? 'no image of the version before was named' : `this clone lacks commit ${PREVIOUS_COMMIT}`}`, 0, '');
    return;
  }
  step('Installing the version before');
  const product = { name: 'the version before', checkout, image };
  const stage = await setStage({ ...props, dir: join(dir, 'upgrade'), partsImage: images.parts, product });
  await applyQuickstart(stage, await addressTowards(LOAD_BALANCER));
  const partners = await findPartners(stage);
  const workloads = await captureWorkloads(stage);
  step(`Upgrading with ${sizes.upgradeUsers} users, live sessions and transfers`);
  await upgradeUnderLoad(stage, partners, { next: thisVersion(images.skiff), users: sizes.upgradeUsers });
  step('Both versions side by side');
  await runSideBySide(stage, partners, workloads);
}
