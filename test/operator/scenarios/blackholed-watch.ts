import { setTimeout as sleep } from 'node:timers/promises';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { SftpUsers } from '@skiff/kube/resource-type';
import { startBlackholeProxy } from '../../kube/blackhole-proxy.ts';
import { endpointManifest, userManifest } from '../manifests.ts';
import { until } from '../until.ts';
import type { Scenario, ScenarioContext } from './scenario.ts';

const NAMESPACE = 'blackhole';
/** K3. */
const NOTICED_LIMIT_S = 90;
const GIVE_UP_MS = 180_000;
/** Longer than a lease may go without renewal. */
const NOTHING_PASSES_MS = 12_000;

/**
 * Between operator and API server a proxy swallows bytes and closes nothing, as a firewall that lost its state. Short: nothing passes for
 * a while, and all connections of before stay dead. Full also: only the connections of that moment are dead, and new ones work, so that
 * the lease goes on and only the silence of the watches tells.
 */
export const blackholedWatch: Scenario = { name: 'blackholed watch', namespaces: [NAMESPACE], run };

async function run({ rig, checks, size, progress }: ScenarioContext): Promise<void> {
  const { hostname, port } = rig.server;
  const proxy = await startBlackholeProxy({ host: hostname, port: Number(port) });
  const operator = await rig.startOperator('blackholed', { apiPort: proxy.port });
  try {
    const rows = createResourceRepository(rig.database.database);
    await operator.waitFor('leadership', ({ msg }) => msg === 'leading', 60_000);
    await rig.apply(endpointManifest(NAMESPACE, 'main'), userManifest(NAMESPACE, 'first'));
    await until('readiness', 'True Ready', () => rig.condition(SftpUsers, 'first', 'Ready', NAMESPACE));
    const id = await rows.endpointId(NAMESPACE, 'main');
    const noticed = async (name: string): Promise<number> => {
      const ms = await until(`the row of ${name}`, true, async () => (await rows.findUser(id, name)) !== undefined, GIVE_UP_MS);
      await until(`readiness of ${name}`, 'True Ready', () => rig.condition(SftpUsers, name, 'Ready', NAMESPACE));
      return ms;
    };
    if (size === 'full') {
      // A watch that has just been opened anew would hide the silence.
      await sleep(3_000);
      const lines = operator.lines.length;
      proxy.swallow();
      proxy.heal();
      await rig.apply(userManifest(NAMESPACE, 'watched'));
      const ms = await noticed('watched');
      const losses = operator.lines.slice(lines).filter(({ msg }) => msg === 'led no longer').length;
      progress(`dead connections were noticed after ${ms} ms`);
      checks.add('blackholed watch: a change on dead watches noticed', ms / 1_000, 's', `<= ${NOTICED_LIMIT_S}`);
      checks.add('blackholed watch: leaderships that dead connections cost', losses, '', '== 0');
    }
    proxy.swallow();
    const began = performance.now();
    await rig.apply(userManifest(NAMESPACE, 'swallowed'));
    await operator.waitFor('the loss', ({ msg, lost }) => msg === 'led no longer' && lost === true, 60_000);
    checks.add('blackholed watch: leads no longer when nothing passes', (performance.now() - began) / 1_000, 's', '<= 20');
    await sleep(NOTHING_PASSES_MS);
    proxy.heal();
    await noticed('swallowed');
    const ms = performance.now() - began;
    progress(`after a blackhole of everything converged ${Math.round(ms)} ms from its beginning`);
    checks.add('blackholed watch: a change while nothing passed noticed', ms / 1_000, 's', `<= ${NOTICED_LIMIT_S}`);
  } finally {
    await operator.stop();
    await proxy.stop();
  }
}
