import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Condition } from '@skiff/model/condition';
import { type ResourceRef, refKey } from '../resource-source.ts';
import { eventually } from '../testing/eventually.ts';
import { recordingLogger } from '../testing/recording-logger.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';
import { createFolderSource, type FolderSource } from './folder-source.ts';
import { readStatusFile } from './status-file.ts';

const SIGNAL = new AbortController().signal;
/** Shorter than in production so that the tests are quick; one test measures the real ones. */
const QUICK = { pollMs: 60, settleMs: 30, maxUnsettledMs: 300 };

function user(name: string, spec = ''): string {
  return `---\napiVersion: skiff.dev/v1alpha1\nkind: SftpUser\nmetadata: {name: ${name}}\nspec:\n  endpointRef: {name: main}\n  username: ${name}\n${spec}`;
}

interface Running extends AsyncDisposable {
  readonly source: FolderSource;
  readonly manifests: string;
  readonly state: string;
  readonly log: ReturnType<typeof recordingLogger>;
  readonly changed: string[];
  names(): readonly string[];
}

async function start(root: string, options?: { readonly timing?: typeof QUICK | Record<string, never>; readonly now?: Date }): Promise<Running> {
  const manifests = join(root, 'manifests');
  const state = join(root, 'state');
  await mkdir(manifests, { recursive: true });
  const log = recordingLogger();
  const clock = { now: () => options?.now ?? new Date(), monotonicMs: () => performance.now() };
  const source = createFolderSource({ directory: manifests, stateDirectory: state, logger: log, clock, timing: options?.timing ?? QUICK });
  const changed: string[] = [];
  await source.start(SIGNAL);
  source.subscribe((ref) => changed.push(refKey(ref)));
  const names = (): readonly string[] =>
    source
      .users()
      .map((each) => each.metadata.name)
      .sort();
  return { source, manifests, state, log, changed, names, [Symbol.asyncDispose]: () => source.stop() };
}

const ALICE: ResourceRef = { kind: 'SftpUser', namespace: 'default', name: 'alice' };

test("manifests are read from nested folders; other names, dot files and editors' leftovers are not", async () => {
  await using root = await temporaryFolder();
  const directory = join(root.path, 'manifests');
  await mkdir(join(directory, 'team/deep'), { recursive: true });
  await mkdir(join(directory, '.git'));
  await writeFile(join(directory, 'team/deep/a.yaml'), user('alice'));
  await writeFile(join(directory, 'b.yml'), user('bob'));
  for (const name of ['.b.yaml.swp', 'c.yaml~', '#d.yaml#', '4913', 'e.yaml.tmp', '.git/f.yaml', 'README.md']) {
    await writeFile(join(directory, name), user('intruder'));
  }
  await symlink('nowhere', join(directory, '.#g.yaml'));
  await symlink('nowhere', join(directory, 'h.yaml'));
  await symlink('..', join(directory, 'team/loop'));
  await using running = await start(root.path);
  assert.deepEqual(running.names(), ['alice', 'bob']);
  assert.deepEqual(running.source.problems(), []);
  assert.equal(running.source.mayExist({ ...ALICE, name: 'carol' }), false);
});

test('a change, a new file and a removed file are told by key', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  await writeFile(join(running.manifests, 'a.yaml'), user('alice') + user('bob'));
  await eventually(() => assert.deepEqual(running.changed.sort(), ['SftpUser/default/alice', 'SftpUser/default/bob']));
  running.changed.length = 0;
  await writeFile(join(running.manifests, 'a.yaml'), user('alice', '  suspend: true\n') + user('bob'));
  await eventually(() => assert.deepEqual(running.changed, ['SftpUser/default/alice']));
  assert.equal(running.source.users()[0]?.spec.suspend, true);
  await rm(join(running.manifests, 'a.yaml'));
  await eventually(() => assert.deepEqual(running.names(), []));
});

test('a file replaced by rename with the size and the time of the old one is noticed', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  const time = new Date('2026-01-01T00:00:00Z');
  const file = join(running.manifests, 'a.yaml');
  await writeFile(file, user('alice'));
  await utimes(file, time, time);
  await eventually(() => assert.deepEqual(running.names(), ['alice']));
  await writeFile(join(running.manifests, 'a.new'), user('clara'));
  await utimes(join(running.manifests, 'a.new'), time, time);
  await rename(join(running.manifests, 'a.new'), file);
  await eventually(() => assert.deepEqual(running.names(), ['clara']));
});

test('a mounted ConfigMap is followed through the swap of its ..data link, without a moment of emptiness', async () => {
  await using root = await temporaryFolder();
  const directory = join(root.path, 'manifests');
  await mkdir(join(directory, '..2026_01'), { recursive: true });
  await writeFile(join(directory, '..2026_01/users.yaml'), user('alice'));
  await symlink('..2026_01', join(directory, '..data'));
  await symlink('..data/users.yaml', join(directory, 'users.yaml'));
  await using running = await start(root.path);
  assert.deepEqual(running.names(), ['alice']);
  const seen = new Set<string>();
  running.source.subscribe(() => seen.add(running.names().join()));
  await mkdir(join(directory, '..2026_02'));
  await writeFile(join(directory, '..2026_02/users.yaml'), user('alice') + user('bob'));
  await symlink('..2026_02', join(directory, '..data_tmp'));
  await rename(join(directory, '..data_tmp'), join(directory, '..data'));
  await rm(join(directory, '..2026_01'), { recursive: true });
  await eventually(() => assert.deepEqual(running.names(), ['alice', 'bob']));
  assert.deepEqual([...seen], ['alice,bob']);
});

test('a file that is cut off keeps its users in force, says where it is broken, and recovers', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  const file = join(running.manifests, 'users.yaml');
  const whole = user('alice') + user('bob') + user('carol');
  await writeFile(file, whole);
  await eventually(() => assert.deepEqual(running.names(), ['alice', 'bob', 'carol']));
  for (const cut of [whole.indexOf('bob') + 1, whole.indexOf('username: bob') + 3, whole.lastIndexOf('spec:')]) {
    await writeFile(file, whole.slice(0, cut));
    await eventually(() => assert.ok(running.source.problems().length > 0));
    assert.deepEqual(running.names(), ['alice', 'bob', 'carol']);
    assert.ok(running.log.lines.some((line) => line.message === 'manifest refused' && line.fields.file === 'users.yaml' && Number(line.fields.line) > 1));
    await writeFile(file, whole);
    await eventually(() => assert.deepEqual(running.source.problems(), []));
  }
});

test('an invalid new version leaves the last valid one in force and says so in the status', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  const file = join(running.manifests, 'users.yaml');
  await writeFile(file, user('alice'));
  await eventually(() => assert.deepEqual(running.names(), ['alice']));
  const ready: Condition = { type: 'Ready', status: 'True', reason: 'Ready', message: '', observedGeneration: 1, lastTransitionTime: '2026-01-01T00:00:00Z' };
  await writeFile(file, user('alice', '  suspend: perhaps\n') + user('bob'));
  await eventually(() => assert.deepEqual(running.names(), ['alice', 'bob']));
  await running.source.writeStatus(ALICE, [ready]);
  assert.equal(running.source.users()[0]?.spec.suspend, undefined);
  const conditions = running.source.status(ALICE)?.conditions ?? [];
  assert.deepEqual(
    conditions.map(({ type, status, reason }) => [type, status, reason]),
    [
      ['Accepted', 'False', 'Invalid'],
      ['Ready', 'False', 'Invalid'],
    ],
  );
  assert.match(conditions[0]?.message ?? '', /^users\.yaml:\d+:\d+: spec\.suspend/);
});

test('after a restart with a broken file nothing is taken for gone; one refused object vouches only for itself', async () => {
  await using root = await temporaryFolder();
  await mkdir(join(root.path, 'manifests'));
  const file = join(root.path, 'manifests/users.yaml');
  await writeFile(file, user('alice', '  nonsense: 1\n') + user('bob'));
  await using running = await start(root.path);
  assert.deepEqual(running.names(), ['bob']);
  assert.deepEqual([running.source.mayExist(ALICE), running.source.mayExist({ ...ALICE, name: 'gone' })], [true, false]);
  assert.equal(running.source.status(ALICE)?.conditions?.[0]?.reason, 'Invalid');
  await writeFile(file, 'kind: [');
  await eventually(() => assert.equal(running.source.problems().length, 1));
  assert.deepEqual(running.names(), ['bob']);
  await using again = await start(root.path);
  assert.equal(again.source.mayExist({ ...ALICE, name: 'gone' }), true);
});

test('a folder that goes away deletes nobody', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  await writeFile(join(running.manifests, 'a.yaml'), user('alice'));
  await eventually(() => assert.deepEqual(running.names(), ['alice']));
  await rename(running.manifests, `${running.manifests}.away`);
  await eventually(() => assert.equal(running.source.problems()[0]?.file, ''));
  assert.deepEqual([running.names(), running.source.mayExist(ALICE)], [['alice'], true]);
  await rename(`${running.manifests}.away`, running.manifests);
  await eventually(() => assert.deepEqual(running.source.problems(), []));
});

test('an object defined in two files is taken from the first, and the problem names both', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  await writeFile(join(running.manifests, 'b.yaml'), user('alice', '  home: second\n'));
  await writeFile(join(running.manifests, 'a.yaml'), user('alice', '  home: first\n'));
  await eventually(() => assert.match(running.source.problems()[0]?.message ?? '', /a\.yaml.*b\.yaml/));
  assert.equal(running.source.users()[0]?.spec.home, 'first');
  await rm(join(running.manifests, 'a.yaml'));
  await eventually(() => assert.equal(running.source.users()[0]?.spec.home, 'second'));
  assert.deepEqual(running.source.problems(), []);
});

test('a user that moves to another file while its old file is broken is taken from the new one', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  await writeFile(join(running.manifests, 'a.yaml'), user('alice'));
  await eventually(() => assert.deepEqual(running.names(), ['alice']));
  await writeFile(join(running.manifests, 'a.yaml'), '{');
  await writeFile(join(running.manifests, 'b.yaml'), user('alice', '  home: moved\n'));
  await eventually(() => assert.equal(running.source.users()[0]?.spec.home, 'moved'));
  assert.equal(running.source.problems().length, 1);
});

test('generation rises with the spec only; creation time and uid outlive a restart', async () => {
  await using root = await temporaryFolder();
  const first = new Date('2026-01-01T00:00:00Z');
  const file = join(root.path, 'manifests/a.yaml');
  await using running = await start(root.path, { now: first });
  await writeFile(file, user('alice'));
  await eventually(() => assert.equal(running.source.users()[0]?.metadata.generation, 1));
  const uid = running.source.users()[0]?.metadata.uid;
  await writeFile(file, `# a comment\n${user('alice')}`);
  await sleep(200);
  assert.equal(running.source.users()[0]?.metadata.generation, 1);
  await writeFile(file, user('alice', '  home: other\n'));
  await eventually(() => assert.equal(running.source.users()[0]?.metadata.generation, 2));
  await running.source.stop();
  await using again = await start(root.path, { now: new Date('2026-02-02T00:00:00Z') });
  const metadata = again.source.users()[0]?.metadata;
  assert.deepEqual([metadata?.generation, metadata?.uid, metadata?.creationTimestamp], [2, uid, first.toISOString()]);
});

test('values of Secrets are found by namespace, name and key, and are in no log', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  const data = Buffer.from('canary-1').toString('base64');
  const secret = `apiVersion: v1\nkind: Secret\nmetadata: {name: hashes}\ndata: {bob: ${data}}\nstringData: {alice: canary-2}\n`;
  await writeFile(join(running.manifests, 's.yaml'), secret);
  await eventually(() => assert.deepEqual(running.changed, ['Secret/default/hashes']));
  const reveal = async (name: string, key: string): Promise<string> => {
    const lookup = await running.source.secretValue('default', name, key);
    return lookup.kind === 'found' ? lookup.value.reveal() : lookup.kind;
  };
  assert.deepEqual([await reveal('hashes', 'bob'), await reveal('hashes', 'alice')], ['canary-1', 'canary-2']);
  assert.deepEqual([await reveal('hashes', 'eve'), await reveal('other', 'bob')], ['keyNotFound', 'secretNotFound']);
  await writeFile(join(running.manifests, 's.yaml'), secret.replace('canary-2', 'canary-3'));
  await eventually(() => assert.equal(running.changed.length, 2));
  assert.ok(!JSON.stringify(running.log.lines).includes('canary'));
  assert.ok(!(await readFile(join(running.state, 'objects.json'), 'utf8').catch(() => '')).includes('canary'));
});

test('a file over the size limit is refused and its users stay', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  const file = join(running.manifests, 'a.yaml');
  await writeFile(file, user('alice'));
  await eventually(() => assert.deepEqual(running.names(), ['alice']));
  await writeFile(file, `#${'x'.repeat(4 * 1024 * 1024)}\n${user('bob')}`);
  await eventually(() => assert.match(running.source.problems()[0]?.message ?? '', /4 MiB/));
  assert.deepEqual(running.names(), ['alice']);
});

test('a file that cannot be read keeps its users and is read when it can', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  const file = join(running.manifests, 'a.yaml');
  await writeFile(file, user('alice'));
  await eventually(() => assert.deepEqual(running.names(), ['alice']));
  await rm(file);
  await symlink('a.yaml', file);
  await eventually(() => assert.match(running.source.problems()[0]?.message ?? '', /ELOOP/));
  assert.deepEqual(running.names(), ['alice']);
  await rm(file);
  await eventually(() => assert.deepEqual([running.names(), running.source.problems()], [[], []]));
});

test('a file that is written to without a pause holds up no other file', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  let writing = true;
  const noise = (async () => {
    for (let count = 0; writing; count++) {
      await writeFile(join(running.manifests, 'noise.yaml'), user(`noise${count}`));
      await sleep(5);
    }
  })();
  try {
    await sleep(50);
    await writeFile(join(running.manifests, 'a.yaml'), user('alice'));
    await eventually(() => assert.ok(running.names().includes('alice')));
  } finally {
    writing = false;
    await noise;
  }
  await eventually(() => assert.equal(running.names().filter((name) => name.startsWith('noise')).length, 1));
  await eventually(() => assert.deepEqual(running.source.problems(), []));
});

test('status is kept over a restart, written whole, logged when it changes, and goes with its object', async () => {
  await using root = await temporaryFolder();
  await using running = await start(root.path);
  await writeFile(join(running.manifests, 'a.yaml'), user('alice'));
  await eventually(() => assert.deepEqual(running.names(), ['alice']));
  const ready = (status: 'True' | 'False'): Condition => ({
    type: 'Ready',
    status,
    reason: status === 'True' ? 'Ready' : 'SecretNotFound',
    message: 'm',
    observedGeneration: 1,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  await running.source.writeStatus(ALICE, [ready('False')]);
  await running.source.writeStatus(ALICE, [ready('False')]);
  await running.source.writeStatus({ ...ALICE, name: 'nobody' }, [ready('True')]);
  const lines = running.log.lines.filter((line) => line.message === 'condition changed');
  assert.deepEqual(
    lines.map((line) => [line.level, line.fields.ref, line.fields.reason]),
    [['warn', 'SftpUser/default/alice', 'SecretNotFound']],
  );
  await running.source.stop();
  assert.deepEqual((await readStatusFile(running.state, SIGNAL))?.resources, [{ ref: 'SftpUser/default/alice', conditions: [ready('False')] }]);
  await using again = await start(root.path);
  assert.deepEqual(again.source.status(ALICE)?.conditions, [ready('False')]);
  await rm(join(again.manifests, 'a.yaml'));
  await eventually(async () => assert.deepEqual((await readStatusFile(running.state, SIGNAL))?.resources, []));
});

test('with the timing of production a change is in force within 1.5 s, with and without notices of the file system', async () => {
  await using root = await temporaryFolder();
  await mkdir(join(root.path, 'manifests/nested'), { recursive: true });
  await using running = await start(root.path, { timing: {} });
  const latencies: number[] = [];
  // The watch covers the root only, so the nested folder shows what polling alone does.
  for (const name of ['a.yaml', 'nested/b.yaml', 'nested/c.yaml']) {
    const started = performance.now();
    const owner = name.replaceAll(/[^a-z]/g, '');
    await writeFile(join(running.manifests, name), user(owner));
    await eventually(() => assert.ok(running.names().includes(owner)));
    latencies.push(Math.round(performance.now() - started));
  }
  assert.ok(Math.max(...latencies) <= 1500, `latencies in ms: ${latencies.join(', ')}`);
});
