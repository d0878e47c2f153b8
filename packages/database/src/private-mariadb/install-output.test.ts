import assert from 'node:assert/strict';
import { test } from 'node:test';
import { causeOfFailure } from './install-output.ts';

const ADVICE = 'Installation of system tables failed!  Examine the logs in\n/tmp/db for more information.\n\nPlease check all of the above\n';

test('of what the installer says the cause is told, not the advice that follows it', () => {
  assert.equal(
    causeOfFailure(`Installing system tables in '/tmp/db' ...\nNo space left on device\n\n${ADVICE}`).trimEnd().split('\n').at(-1),
    'No space left on device',
  );
});

test('advice alone is better than nothing', () => {
  assert.equal(causeOfFailure(ADVICE), ADVICE);
});
