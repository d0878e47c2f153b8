import type { HostKey } from '@skiff/credentials/host-key';
import type { Obstacle } from '@skiff/policy/complete-conditions';
import { type HeldHostKey, type HostKeyAlgorithm, HostKeyStoreError, type HostKeys, type HostKeyWish, type WantedHostKey } from './host-key-store.ts';
import { MAX_KEYS, type StoredHostKey } from './stored-host-keys.ts';

export interface HostKeyPlan {
  /** What is to be stored; the very input where nothing changes. */
  readonly stored: readonly StoredHostKey[];
  readonly result: HostKeys;
}

/** Name of the key of an endpoint that says nothing of host keys. */
const DEFAULT_NAME = 'ed25519';

/**
 * What is to be stored for what is wanted, given what is stored. Pure but for `generate`. All or nothing: where one entry cannot be
 * had, no state changes, so that what partners know goes on being served.
 *
 * @throws {HostKeyStoreError} `HostKeyMissing` when there is nothing to serve and nothing may be made.
 */
export function planHostKeys(stored: readonly StoredHostKey[], wish: HostKeyWish, generate: (algorithm: HostKeyAlgorithm) => HostKey): HostKeyPlan {
  const isServing = stored.some(({ place }) => place === 'served');
  if (typeof wish !== 'string') return planWanted(stored, wish, generate);
  if (isServing) return { stored, result: resultOf(stored) };
  if (wish === 'asTheyAre') throw new HostKeyStoreError('HostKeyMissing', 'there is no host key to serve yet');
  const there = stored.find(({ name }) => name === DEFAULT_NAME);
  const served: StoredHostKey = { name: DEFAULT_NAME, given: false, key: generate('Ed25519'), ...there, place: 'served' };
  const all = [...stored.filter((one) => one !== there), served];
  return { stored: all, result: { ...resultOf(all), generated: there === undefined ? [served.key] : [] } };
}

function planWanted(stored: readonly StoredHostKey[], wanted: readonly WantedHostKey[], generate: (algorithm: HostKeyAlgorithm) => HostKey): HostKeyPlan {
  const present = new Map(stored.map((one) => [one.name, one]));
  const generated: HostKey[] = [];
  const refused = (problem: Obstacle): HostKeyPlan => {
    if (!stored.some(({ place }) => place === 'served')) throw new HostKeyStoreError('HostKeyMissing', problem.message);
    return { stored, result: { ...resultOf(stored, wanted), problem } };
  };
  for (const { name, given } of wanted) {
    const there = present.get(name);
    if (given !== undefined && there !== undefined && !there.given && there.key.fingerprint !== given.fingerprint) return refused(nameTaken(there));
  }
  const next = wanted.map(({ name, state, algorithm, given }): StoredHostKey => {
    const there = present.get(name);
    const key = given ?? there?.key ?? generate(algorithm);
    if (given === undefined && there === undefined) generated.push(key);
    return { name, place: state === 'Active' ? 'served' : 'kept', given: given !== undefined || there?.given === true, key };
  });
  const twice = sameAlgorithm(next.filter(({ place }) => place === 'served'));
  if (twice !== undefined) return refused(twice);
  const names = new Set(wanted.map(({ name }) => name));
  const dropped = stored.filter(({ name, place }) => !names.has(name) && place !== 'kept').map((one): StoredHostKey => ({ ...one, place: 'dropped' }));
  const all = [...next, ...dropped];
  // What is stored above that would not be read again.
  if (all.length > MAX_KEYS) return refused(tooMany(dropped));
  return { stored: isSame(stored, all) ? stored : all, result: { ...resultOf(all, wanted), generated } };
}

function nameTaken({ name, key }: StoredHostKey): Obstacle {
  const message = `host key ${name}: a key of this name was made here (${key.fingerprint}) and is never overwritten: give the key of the Secret another name`;
  return { reason: 'SecretInvalid', message };
}

function tooMany(dropped: readonly StoredHostKey[]): Obstacle {
  const names = dropped.map(({ name }) => `dropped_host_${name}_key`);
  return {
    reason: 'Invalid',
    message: `hostKeys: more than ${MAX_KEYS} keys would be kept: take some of those out of the Secret that were dropped: ${names.join(', ')}`,
  };
}

/** A client is shown one key of each kind; which of two would be chance. */
function sameAlgorithm(served: readonly StoredHostKey[]): Obstacle | undefined {
  for (const [index, { name, key }] of served.entries()) {
    const other = served.slice(index + 1).find((candidate) => candidate.key.algorithm === key.algorithm);
    if (other !== undefined)
      return { reason: 'Invalid', message: `host keys ${name} and ${other.name} are both ${key.algorithm} and Active: make one of them Next or Retired` };
  }
  return undefined;
}

function isSame(before: readonly StoredHostKey[], after: readonly StoredHostKey[]): boolean {
  const text = (keys: readonly StoredHostKey[]) =>
    keys
      .map(({ name, place, given, key }) => `${name} ${place} ${given} ${key.fingerprint}`)
      .sort()
      .join('\n');
  return text(before) === text(after);
}

/** Without what is neither served nor in the spec: that is nobody's business but that of who looks into the Secret. */
function resultOf(stored: readonly StoredHostKey[], wanted: readonly WantedHostKey[] = []): HostKeys {
  const states = new Map(wanted.map(({ name, state }) => [name, state]));
  const held = stored.flatMap(({ name, place, key }): readonly HeldHostKey[] => {
    if (place === 'served') return [{ name, state: 'Active', key }];
    const state = states.get(name);
    return state === undefined ? [] : [{ name, state: state === 'Retired' ? 'Retired' : 'Next', key }];
  });
  return { keys: held.filter(({ state }) => state === 'Active').map(({ key }) => key), held, generated: [] };
}
