import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { ResourceRepository } from '@skiff/database/resource-rows';
import type { SkiffProcess } from '../support/skiff-process.ts';
import { OperatorRig, until } from './operator-rig.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEthcl1iOBiiozvLb0pf1mbZ/5dFy3Y0mH7dyYRxR7yG';
/** K1 of the fault table. */
const TAKEOVER_LIMIT_MS = 20_000;

function user(name: string, spec: object = {}): object {
  const keys = [{ name: 'laptop', publicKey: KEY }];
  return {
    apiVersion: 'skiff.dev/v1alpha1',
    kind: 'SftpUser',
    metadata: { name, namespace: 'default' },
    spec: { endpointRef: { name: 'main' }, username: name, authorizedKeys: keys, ...spec },
  };
}

describe('the operator under faults', () => {
  let rig: OperatorRig;
  let rows: ResourceRepository;
  const operators: SkiffProcess[] = [];
  const rowOf = async (name: string) => rows.findUser(await rows.endpointId('default', 'main'), name);

  before(async () => {
    rig = await OperatorRig.start({ endpointNamespaces: ['default'] });
    rows = createResourceRepository(rig.database.database);
    const storage = { azureBlob: { account: 'contoso', container: 'files' } };
    await rig.apply({ apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpEndpoint', metadata: { name: 'main', namespace: 'default' }, spec: { storage } });
    operators.push(await rig.startOperator('a'));
    await operators[0]?.waitFor('leadership', (line) => line.msg === 'leading');
    operators.push(await rig.startOperator('b'));
    await operators[1]?.waitFor('candidacy', (line) => line.msg === 'operator running');
  });
  after(() => rig?.[Symbol.asyncDispose]());

  const leaders = () => operators.filter((operator) => operator.running && isLeading(operator));

  it('has one writer, and another within 20 s when that one is killed', async () => {
    await rig.apply(user('before'));
    await until('a row', true, async () => (await rowOf('before')) !== undefined);
    const [leader] = leaders();
    assert.ok(leader !== undefined && leaders().length === 1);
    const successor = operators.find((operator) => operator !== leader);
    await leader.kill();
    const began = performance.now();
    await rig.apply(user('meanwhile'));
    await successor?.waitFor('takeover', (line) => line.msg === 'leading', 30_000);
    const tookOverMs = Math.round(performance.now() - began);
    await until('the row of who came meanwhile', true, async () => (await rowOf('meanwhile')) !== undefined);
    console.log(`took over ${tookOverMs} ms after the kill, caught up after ${Math.round(performance.now() - began)} ms`);
    assert.ok(tookOverMs <= TAKEOVER_LIMIT_MS);
    assert.ok(await rowOf('before'), 'what the first has written stays');
  });

  it('writes nothing while it is frozen beyond its lease, and nothing after it wakes until it leads again', async () => {
    const [leader] = leaders();
    assert.ok(leader);
    operators.push(await rig.startOperator('c'));
    const successor = operators.at(-1);
    leader.signal('SIGSTOP');
    await successor?.waitFor('takeover', (line) => line.msg === 'leading', 30_000);
    const lines = leader.lines.length;
    leader.signal('SIGCONT');
    await rig.apply(user('woken'));
    await leader.waitFor('the loss', (line) => line.msg === 'led no longer' && line.lost === true);
    await until('the row', true, async () => (await rowOf('woken')) !== undefined);
    const wrote = leader.lines.slice(lines).filter((line) => line.msg === 'rows written' || line.msg === 'object applied');
    assert.deepEqual(wrote, []);
  });
});

function isLeading(operator: SkiffProcess): boolean {
  const last = operator.lines.findLast((line) => line.msg === 'leading' || line.msg === 'led no longer');
  return last?.msg === 'leading';
}
