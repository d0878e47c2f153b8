import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { completeConditions, type Verdict } from './complete-conditions.ts';
import { delayedEvents } from './delayed-events.ts';

const fine: Verdict = { observedGeneration: 2, refused: undefined, unresolved: undefined, notReady: undefined, inForce: true };
const away = { reason: 'DatabaseUnavailable', message: 'm' } as const;

function brief(...args: Parameters<typeof completeConditions>): readonly string[] {
  return completeConditions(...args).map(({ type, status, reason }) => `${type}=${status}/${reason}`);
}

describe('completeConditions', () => {
  it('is not ready, but accepted, while the database is away', () => {
    assert.deepEqual(brief(fine, { status: 'False', ...away }).slice(2), ['Programmed=False/DatabaseUnavailable', 'Ready=False/DatabaseUnavailable']);
    assert.deepEqual(brief(fine, { status: 'Unknown', ...away }).slice(2), ['Programmed=Unknown/DatabaseUnavailable', 'Ready=Unknown/DatabaseUnavailable']);
  });

  it('puts what the owner can mend before what the platform must', () => {
    const suspended = { reason: 'Suspended', message: 'm' } as const;
    const refused = { reason: 'Invalid', message: 'm' } as const;
    assert.equal(brief({ ...fine, refused }, { status: 'Unknown', ...away }).at(-1), 'Ready=False/Invalid');
    assert.equal(brief({ ...fine, notReady: suspended }, { status: 'True' }).at(-1), 'Ready=False/Suspended');
    assert.equal(brief({ ...fine, notReady: suspended }, { status: 'False', ...away }).at(-1), 'Ready=False/DatabaseUnavailable');
  });

  it('is ready with events that are late, and says so beside it', () => {
    const eventsDelayed = delayedEvents({ oldestAgeMs: 60_001, refused: 0 });
    assert.deepEqual(brief({ ...fine, eventsDelayed }, { status: 'True' }).slice(3), ['Ready=True/Ready', 'EventsDelayed=True/EventsWaiting']);
  });

  it('carries the generation it has seen on each condition', () => {
    assert.deepEqual(new Set(completeConditions(fine, { status: 'True' }).map((condition) => condition.observedGeneration)), new Set([2]));
  });
});
