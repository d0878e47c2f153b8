import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import { silentLogger } from '@skiff/runtime/logger';
import { ResyncLooks } from './resync-looks.ts';

function scripted() {
  const script = { reads: [] as string[], answer: 1 as number | Error };
  const read = (key: string): Promise<number> => {
    script.reads.push(key);
    return script.answer instanceof Error ? Promise.reject(script.answer) : Promise.resolve(script.answer);
  };
  return { script, looks: new ResyncLooks({ read, unread: 'it cannot be read', logger: silentLogger }) };
}

const away = new StoreError({ code: 'unavailable', message: 'away' });

test('it is looked at once per resync, whether the database answers or not, and what was seen last stands', async () => {
  const { script, looks } = scripted();
  script.answer = away;
  assert.deepEqual([await looks.of('a'), await looks.of('a')], [undefined, undefined]);
  assert.equal(script.reads.length, 1);
  looks.expire();
  script.answer = 7;
  assert.deepEqual([await looks.of('a'), await looks.of('a')], [7, 7]);
  for (let resync = 0; resync < 3; resync++) {
    looks.expire();
    script.answer = away;
    assert.deepEqual([await looks.of('a'), await looks.of('a')], [7, 7]);
  }
  assert.equal(script.reads.length, 5);
});

test('what nobody asked for between two resyncs is forgotten', async () => {
  const { script, looks } = scripted();
  await looks.of('a');
  looks.expire();
  looks.expire();
  script.answer = away;
  assert.equal(await looks.of('a'), undefined);
});

test('an error of the program is no outage', async () => {
  const { script, looks } = scripted();
  script.answer = new TypeError('scripted');
  await assert.rejects(looks.of('a'), TypeError);
});
