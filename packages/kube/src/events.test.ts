import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '@skiff/runtime/logger';
import fc from 'fast-check';
import { cutUtf8, EventRecorder } from './events.ts';
import type { Manifest } from './kube-client.ts';
import { KubeError } from './kube-error.ts';
import type { KubeObject } from './kube-object.ts';
import { configMap } from './testing/configmap.ts';
import { FakeClock, settle } from './testing/fake-clock.ts';

function recorderWith(fails = false) {
  const created: Manifest[] = [];
  const patched: Readonly<Record<string, unknown>>[] = [];
  const clock = new FakeClock();
  const answer = async (): Promise<KubeObject> => {
    if (fails) throw new KubeError({ code: 'unavailable', httpStatus: 0, message: 'scripted' });
    return configMap('a', 'x');
  };
  const client = {
    create: (_: unknown, object: Manifest) => {
      created.push(object);
      return answer();
    },
    mergePatch: (_: unknown, __: unknown, patch: Readonly<Record<string, unknown>>) => {
      patched.push(patch);
      return answer();
    },
  };
  const recorder = new EventRecorder({ client, instance: 'pod-1', clock, logger: silentLogger, signal: new AbortController().signal });
  return { recorder, created, patched, clock };
}

const regarding: KubeObject = { ...configMap('a', 'one'), metadata: { namespace: 'a', name: 'one', uid: 'u' } };
const event = { regarding, type: 'Warning', reason: 'UsernameConflict', action: 'Accept', note: 'taken' } as const;

describe('event recorder', () => {
  it('counts a repeated event as a series, and writes it at most once a minute', async () => {
    const { recorder, created, patched, clock } = recorderWith();
    for (let i = 0; i < 300; i++) {
      recorder.record(event);
      await clock.advance(1_000);
    }
    assert.equal(created.length, 1);
    assert.equal(patched.length, 4);
    assert.equal(Object(patched.at(-1)?.series).count, 241);
  });

  it('lets one object speak 25 times at once, then once in five minutes', async () => {
    const { recorder, created, clock } = recorderWith();
    for (let i = 0; i < 100; i++) {
      recorder.record({ ...event, note: `note ${i}` });
      await settle();
    }
    assert.equal(created.length, 25);
    assert.equal(recorder.dropped, 75);
    await clock.advance(5 * 60_000);
    recorder.record({ ...event, note: 'later' });
    recorder.record({ ...event, note: 'too soon' });
    assert.equal(created.length, 26);
  });

  it('never throws when the API server does not take events', async () => {
    const { recorder } = recorderWith(true);
    recorder.record(event);
    await settle();
    assert.equal(recorder.dropped, 1);
  });

  it('cuts a note between characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, max) => {
        const cut = cutUtf8(text, max);
        assert.ok(text.startsWith(cut) && Buffer.byteLength(cut) <= max);
      }),
    );
  });
});
