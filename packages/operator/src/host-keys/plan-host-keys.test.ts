import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateHostKey, type HostKey } from '@skiff/credentials/host-key';
import { HostKeyStoreError, type HostKeyWish, type WantedHostKey } from './host-key-store.ts';
import { planHostKeys } from './plan-host-keys.ts';
import { filesOf, readStoredKeys, type StoredHostKey } from './stored-host-keys.ts';

const made = { old: generateHostKey(), new: generateHostKey(), given: generateHostKey(), ecdsa: generateHostKey('ECDSA') };
const entry = (name: string, state: WantedHostKey['state'], given?: HostKey): WantedHostKey => ({ name, state, algorithm: 'Ed25519', given });
const stored = (name: string, place: StoredHostKey['place'], key: HostKey, given = false): StoredHostKey => ({ name, place, given, key });
const OLD = stored('ed25519', 'served', made.old);

/** What lies where after a plan, and what the endpoint then serves and shows. */
function outcome(before: readonly StoredHostKey[], wish: HostKeyWish, generate = () => made.new) {
  const { stored: after, result } = planHostKeys(before, wish, generate);
  return {
    unchanged: after === before,
    after: after.map(({ name, place, key }) => `${name} ${place} ${key.fingerprint}`).sort(),
    served: result.keys.map(({ fingerprint }) => fingerprint),
    held: result.held.map(({ name, state }) => `${name} ${state}`),
    generated: result.generated.map(({ fingerprint }) => fingerprint),
    problem: result.problem?.reason,
  };
}

const never = (): HostKey => assert.fail('nothing is to be made');

test('an endpoint that says nothing has one key, and keeps what is there', () => {
  const first = outcome([], 'default');
  assert.deepEqual([first.served, first.held, first.generated], [[made.new.fingerprint], ['ed25519 Active'], [made.new.fingerprint]]);
  const brought = [OLD, stored('ecdsa', 'served', made.ecdsa)];
  assert.deepEqual(outcome(brought, 'default', never), {
    unchanged: true,
    after: [`ecdsa served ${made.ecdsa.fingerprint}`, `ed25519 served ${made.old.fingerprint}`],
    served: [made.old.fingerprint, made.ecdsa.fingerprint],
    held: ['ed25519 Active', 'ecdsa Active'],
    generated: [],
    problem: undefined,
  });
});

test('a rotation makes the next key, serves it, and keeps the old one until its entry goes', () => {
  const prepared = planHostKeys([OLD], [entry('ed25519', 'Active'), entry('y27', 'Next')], () => made.new);
  assert.deepEqual(
    prepared.result.held.map(({ name, state }) => `${name} ${state}`),
    ['ed25519 Active', 'y27 Next'],
  );
  assert.deepEqual(prepared.result.keys, [made.old]);
  const swapped = planHostKeys(prepared.stored, [entry('ed25519', 'Retired'), entry('y27', 'Active')], never);
  assert.deepEqual([swapped.result.keys, swapped.result.held.map(({ state }) => state)], [[made.new], ['Retired', 'Active']]);
  assert.equal(outcome(swapped.stored, [entry('ed25519', 'Retired'), entry('y27', 'Active')], never).unchanged, true);
  const back = planHostKeys(swapped.stored, [entry('ed25519', 'Active'), entry('y27', 'Retired')], never);
  assert.deepEqual(back.result.keys, [made.old]);
  assert.deepEqual(outcome(swapped.stored, [entry('y27', 'Active')], never).after, [`y27 served ${made.new.fingerprint}`]);
});

test('a key whose entry goes while it is served stays in the store, and comes back with its entry', () => {
  const slipped = planHostKeys([OLD], [entry('y27', 'Active')], () => made.new);
  assert.deepEqual(slipped.result.keys, [made.new]);
  assert.ok(slipped.stored.some(({ name, place, key }) => name === 'ed25519' && place === 'dropped' && key === made.old));
  const again = planHostKeys(slipped.stored, [entry('y27', 'Active')], never);
  assert.equal(again.stored, slipped.stored);
  assert.deepEqual(planHostKeys(slipped.stored, [entry('ed25519', 'Active')], never).result.keys, [made.old]);
});

test('a given key is served, may be replaced by its owner, and never takes the place of one that was made here', () => {
  const taken = planHostKeys([OLD], [entry('ed25519', 'Retired'), entry('ours', 'Active', made.given)], never);
  assert.deepEqual(taken.result.keys, [made.given]);
  assert.deepEqual(planHostKeys(taken.stored, [entry('ours', 'Active', made.new)], never).result.keys, [made.new]);
  const refused = outcome([OLD], [entry('ed25519', 'Active', made.given)], never);
  assert.deepEqual([refused.unchanged, refused.served, refused.problem], [true, [made.old.fingerprint], 'SecretInvalid']);
});

test('of two Active keys of one algorithm none is chosen: what was served goes on', () => {
  const { unchanged, served, problem, held } = outcome([OLD], [entry('ed25519', 'Active'), entry('y27', 'Active')]);
  assert.deepEqual([unchanged, served, problem, held], [true, [made.old.fingerprint], 'Invalid', ['ed25519 Active']]);
  assert.throws(
    () => planHostKeys([], [entry('a', 'Active'), entry('b', 'Active')], generateHostKey),
    (error) => error instanceof HostKeyStoreError && error.code === 'HostKeyMissing',
  );
});

test('no change keeps more keys than can be read again: what was served goes on', () => {
  const dropped = Array.from({ length: 23 }, (_, index) => stored(`y${index}`, 'dropped', made.ecdsa));
  const full = outcome([OLD, ...dropped], [entry('next', 'Active')]);
  assert.deepEqual([full.unchanged, full.served, full.problem], [true, [made.old.fingerprint], 'Invalid']);
  const { stored: after } = planHostKeys([OLD, ...dropped], [entry('ed25519', 'Active')], never);
  assert.equal(readStoredKeys(filesOf(after), 'here').length, 24);
});

test('while a given key cannot be had, nothing changes, and nothing is made', () => {
  assert.deepEqual(outcome([OLD], 'asTheyAre', never).served, [made.old.fingerprint]);
  assert.throws(
    () => planHostKeys([], 'asTheyAre', never),
    (error) => error instanceof HostKeyStoreError && error.code === 'HostKeyMissing',
  );
});

test('what is stored is read back as it was', () => {
  const keys = [stored('a1', 'served', made.old), stored('b2', 'kept', made.given, true), stored('c3', 'dropped', made.ecdsa)];
  const files = filesOf(keys);
  assert.deepEqual(
    [...files.keys()].filter((file) => /^ssh_host_[a-z0-9]+_key$/.test(file)),
    ['ssh_host_a1_key'],
  );
  assert.deepEqual(
    readStoredKeys(files, 'here').map(({ name, place, given, key }) => [name, place, given, key.fingerprint]),
    keys.map(({ name, place, given, key }) => [name, place, given, key.fingerprint]),
  );
});
