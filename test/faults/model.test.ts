import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explore, type Scenario } from './model/explore.ts';
import type { Rules } from './model/world.ts';

/** One upload with everything that can befall it, and two that compete. `true`: a single put. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a new file in blocks': { uploads: { a: false }, overwrite: false, outside: 2, crashes: 1 },
  'an overwrite in blocks': { uploads: { a: false }, overwrite: true, outside: 2, crashes: 1 },
  'a new file by one put': { uploads: { a: true }, overwrite: false, outside: 2, crashes: 1 },
  'an overwrite by one put': { uploads: { a: true }, overwrite: true, outside: 2, crashes: 1 },
  'two new files in blocks': { uploads: { a: false, b: false }, overwrite: false, outside: 0, crashes: 1 },
  'two new files by one put each': { uploads: { a: true, b: true }, overwrite: false, outside: 1, crashes: 0 },
  'two new files, one of each kind': { uploads: { a: true, b: false }, overwrite: false, outside: 1, crashes: 1 },
  'two overwrites, one of each kind': { uploads: { a: true, b: false }, overwrite: true, outside: 1, crashes: 1 },
};

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  test(`${name}: acknowledged ⊆ events ⊆ committed in every interleaving of crashes, recovery, late requests and outside tools`, (t) => {
    const { worlds, settled, violation } = explore(scenario);
    t.diagnostic(`${worlds} worlds, ${settled} at rest`);
    assert.equal(violation, undefined, `${violation?.claim}\n  ${violation?.trace.join('\n  ')}`);
    assert.ok(settled > 0, 'no world came to rest');
  });
}

/** A checker that finds nothing proves nothing: without each of these rules it must. */
const NEEDED: readonly { readonly rule: keyof Rules; readonly scenario: string }[] = [
  { rule: 'fence', scenario: 'two overwrites, one of each kind' },
  { rule: 'lookAgain', scenario: 'a new file by one put' },
  { rule: 'epochs', scenario: 'a new file in blocks' },
  { rule: 'ownId', scenario: 'a new file by one put' },
  { rule: 'rowBeforeAnswer', scenario: 'a new file in blocks' },
  { rule: 'lock', scenario: 'two new files by one put each' },
];

for (const { rule, scenario } of NEEDED) {
  test(`without the rule "${rule}" the model finds a broken promise`, (t) => {
    const known = SCENARIOS[scenario];
    assert.ok(known !== undefined);
    const { violation } = explore(known, { [rule]: false });
    assert.notEqual(violation, undefined);
    t.diagnostic(`${violation?.claim}: ${violation?.trace.join(' → ')}`);
  });
}
