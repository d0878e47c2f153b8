import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import type { ResourceRepository } from '@skiff/database/resource-rows';
import { SftpEndpoints, SftpUsers } from '@skiff/kube/resource-type';
import type { SkiffProcess } from '../support/skiff-process.ts';
import { conditionOf } from './conditions.ts';
import { endpointManifest, HASH, userManifest } from './manifests.ts';
import { OperatorRig } from './operator-rig.ts';
import { until } from './until.ts';

const QUICKSTART = join(import.meta.dirname, '..', '..', 'deploy', 'quickstart');
const OF_PARTNERS = { endpointRef: { name: 'partners' } };

describe('users on a Kubernetes API', () => {
  let rig: OperatorRig;
  let operator: SkiffProcess;
  let rows: ResourceRepository;

  before(async () => {
    rig = await OperatorRig.start({ endpointNamespaces: ['default'] });
    rows = createResourceRepository(rig.database.database);
    operator = await rig.startOperator('operator-0');
    await operator.waitFor('leadership', (line) => line.msg === 'leading');
    await rig.kubectl(['apply', '-f', QUICKSTART]);
    await until('alice', 'True Ready', () => ready(SftpUsers, 'alice'));
    await until('bob, whose hash is in a Secret', 'True Ready', () => ready(SftpUsers, 'bob'));
  });
  after(() => rig?.[Symbol.asyncDispose]());

  const ready = (type: typeof SftpUsers, name: string, namespace = 'default') => rig.condition(type, name, 'Ready', namespace);

  it('gives a username to the oldest and tells the other', async () => {
    await rig.apply(userManifest('default', 'second-alice', { ...OF_PARTNERS, username: 'alice' }));
    await until('the conflict', 'False UsernameConflict', () => ready(SftpUsers, 'second-alice'));
    assert.equal(await ready(SftpUsers, 'alice'), 'True Ready');
  });

  it('says what is missing of a Secret, and takes a changed hash over within 5 s', async () => {
    await rig.apply(userManifest('default', 'carol', { ...OF_PARTNERS, authorizedKeys: [], password: { hashSecretRef: { name: 'carol', key: 'hash' } } }));
    await until('no Secret', 'False SecretNotFound', () => ready(SftpUsers, 'carol'));
    await rig.kubectl(['create', 'secret', 'generic', 'carol', '--from-literal=other=x']);
    await until('no key', 'False SecretKeyNotFound', () => ready(SftpUsers, 'carol'));
    const began = performance.now();
    await rig.kubectl(['patch', 'secret', 'carol', '--type=merge', '-p', JSON.stringify({ stringData: { hash: HASH } })]);
    const id = await rows.endpointId('default', 'partners');
    await until('the hash', HASH, async () => (await rows.findUser(id, 'carol'))?.passwordHash ?? '');
    const ms = Math.round(performance.now() - began);
    assert.ok(ms <= 5_000, `${ms} ms`);
    console.log(`a password hash is in the rows ${ms} ms after kubectl patch`);
  });

  it('admits users of another namespace by its labels, and asks for access to its Secrets with the command to run', async () => {
    await rig.kubectl(['create', 'namespace', 'partners-eu']);
    await rig.apply(
      userManifest('partners-eu', 'dora', {
        endpointRef: { name: 'partners', namespace: 'default' },
        password: { hashSecretRef: { name: 'dora', key: 'hash' } },
      }),
    );
    await until('not admitted', 'False NotAllowedByEndpoint', () => ready(SftpUsers, 'dora', 'partners-eu'));
    const admit = { spec: { allowedUsers: { namespaces: { from: 'Selector', selector: { matchLabels: { partners: 'yes' } } } } } };
    await rig.kubectl(['patch', 'sftpep', 'partners', '--type=merge', '-p', JSON.stringify(admit)]);
    await rig.kubectl(['label', 'namespace', 'partners-eu', 'partners=yes']);
    await until('no access', 'False SecretAccessNotGranted', () => ready(SftpUsers, 'dora', 'partners-eu'));
    const hint = /run: kubectl (create rolebinding .*)$/.exec(conditionOf(await rig.get(SftpUsers, 'dora', 'partners-eu'), 'ResolvedRefs')?.message ?? '')?.[1];
    assert.ok(hint);
    await rig.kubectl(['create', 'secret', 'generic', 'dora', '-n', 'partners-eu', `--from-literal=hash=${HASH}`]);
    await rig.kubectl(hint.split(' '));
    const grantedMs = await until('access', 'True Ready', () => ready(SftpUsers, 'dora', 'partners-eu'));
    await rig.kubectl(['delete', 'rolebinding', 'skiff-secret-reader', '-n', 'partners-eu']);
    await rig.kubectl(['label', 'namespace', 'partners-eu', 'partners-']);
    await until('shut out', 'False NotAllowedByEndpoint', () => ready(SftpUsers, 'dora', 'partners-eu'));
    assert.equal(await rows.findUser(await rows.endpointId('default', 'partners'), 'dora'), undefined);
    console.log(`access was used ${grantedMs} ms after it had been granted`);
  });

  it('forgets a deleted user within 5 s, and gives a free username to the next', async () => {
    const id = await rows.endpointId('default', 'partners');
    await rig.kubectl(['delete', 'sftpu', 'bob']);
    const ms = await until('no row', undefined, () => rows.findUser(id, 'bob'));
    assert.ok(ms <= 5_000, `${ms} ms`);
    await until("the second's turn", true, async () => {
      await rig.tryKubectl(['delete', 'sftpu', 'alice']);
      return (await ready(SftpUsers, 'second-alice')) === 'True Ready';
    });
    assert.equal((await rows.findUser(id, 'alice'))?.name, 'second-alice');
  });

  it('tells the owner of a user with ranges when a firewall hides the client, and no longer when it does not', async () => {
    const hidden = (type: typeof SftpUsers, name: string) => rig.condition(type, name, 'ClientAddressHidden');
    const behind = { service: { clientAddress: 'Rewritten' }, allowedSourceRanges: ['10.40.17.0/26'] };
    const refused = await rig.tryKubectl(['create', '-f', '-'], JSON.stringify(endpointManifest('default', 'walled', { service: behind.service })));
    assert.match(refused.output, /clientAddress: Rewritten needs allowedSourceRanges/);
    await rig.apply(
      endpointManifest('default', 'walled', behind),
      userManifest('default', 'fenced', { endpointRef: { name: 'walled' }, allowedSourceRanges: ['192.0.2.0/24'] }),
      userManifest('default', 'unfenced', { endpointRef: { name: 'walled' } }),
    );
    await until('the user with ranges', 'True ClientAddressRewritten', () => hidden(SftpUsers, 'fenced'));
    await until('the endpoint', 'True ClientAddressRewritten', () => hidden(SftpEndpoints, 'walled'));
    await until('the user without', 'True Ready', () => ready(SftpUsers, 'unfenced'));
    assert.equal(await hidden(SftpUsers, 'unfenced'), '');
    await rig.apply(endpointManifest('default', 'walled', { allowedSourceRanges: ['10.40.17.0/26'] }));
    await until('the user with ranges, of whom pods see the address', '', () => hidden(SftpUsers, 'fenced'));
    await until('the endpoint', '', () => hidden(SftpEndpoints, 'walled'));
    await rig.kubectl(['delete', 'sftpusers/fenced', 'sftpusers/unfenced', 'sftpendpoints/walled']);
  });

  it('logged no password, hash or key', () => {
    const log = operator.lines.map((line) => JSON.stringify(line)).join('\n');
    assert.ok(!log.includes('argon2id$v') && !log.includes('PRIVATE KEY'));
  });
});
