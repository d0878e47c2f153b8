import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { FAILPOINT_NAMES, noFailpoints, parseFailpoints } from './failpoint.ts';

describe('failpoints', () => {
  it('are all off unless they are set', () => {
    for (const failpoints of [noFailpoints, parseFailpoints(undefined), parseFailpoints(' '), parseFailpoints('relay.sent=throw')]) {
      for (const name of FAILPOINT_NAMES) if (name !== 'relay.sent') assert.equal(failpoints.hit(name), undefined);
    }
  });

  it('throw from the given time on', async () => {
    const failpoints = parseFailpoints('upload.committed=throw@3; relay.sent=sleep:1');
    assert.equal(failpoints.hit('upload.committed'), undefined);
    assert.equal(failpoints.hit('upload.committed'), undefined);
    for (let time = 3; time < 6; time++) await assert.rejects(async () => await failpoints.hit('upload.committed'), /failpoint upload\.committed/);
    await failpoints.hit('relay.sent');
  });

  it('kill the process', () => {
    const script = `import { parseFailpoints } from ${JSON.stringify(new URL('./failpoint.ts', import.meta.url).href)};
      await parseFailpoints('relay.sent=kill').hit('relay.sent'); console.log('alive');`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 20_000 });
    assert.deepEqual([child.signal, child.stdout], ['SIGKILL', '']);
  });

  it('that do not exist are refused', () => {
    for (const text of [
      'relay.snet=kill',
      'relay.sent',
      'relay.sent=explode',
      'relay.sent=sleep',
      'relay.sent=kill@0x1',
      'relay.sent=kill,relay.marked=kill',
    ]) {
      assert.throws(() => parseFailpoints(text), RangeError, text);
    }
  });
});
