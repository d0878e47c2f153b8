import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMetrics } from './metrics.ts';

describe('metrics', () => {
  it('come out in the text format, with labels and units in their names', async () => {
    const metrics = createMetrics({ defaults: false });
    metrics.counter({ name: 'skiff_uploads_total', help: 'Uploads.', labels: ['outcome'] }).increment({ outcome: 'ok' }, 2);
    metrics.gauge({ name: 'skiff_sessions', help: 'Sessions.' }).set({}, 3);
    metrics.histogram({ name: 'skiff_commit_duration_seconds', help: 'Commit.', buckets: [0.1, 1] }).observe({}, 0.5);
    let waiting = 4;
    metrics.sampledGauge({ name: 'skiff_outbox_waiting', help: 'Waiting.', read: () => waiting });
    const text = await metrics.text();
    for (const line of [
      'skiff_uploads_total{outcome="ok"} 2',
      'skiff_sessions 3',
      'skiff_commit_duration_seconds_bucket{le="1"} 1',
      'skiff_outbox_waiting 4',
    ]) {
      assert.ok(text.includes(`\n${line}\n`), `${line} in\n${text}`);
    }
    waiting = 5;
    assert.ok((await metrics.text()).includes('skiff_outbox_waiting 5'));
  });

  it('of two registries are apart, and of the process only where asked for', async () => {
    const [left, right] = [createMetrics({ defaults: true }), createMetrics({ defaults: false })];
    left.gauge({ name: 'skiff_sessions', help: 'Sessions.' }).set({}, 1);
    right.gauge({ name: 'skiff_sessions', help: 'Sessions.' }).set({}, 2);
    assert.ok((await right.text()).includes('skiff_sessions 2'));
    assert.ok((await left.text()).includes('process_resident_memory_bytes'));
    assert.ok(!(await right.text()).includes('process_'));
  });

  it('do not grow with what comes in', async () => {
    const metrics = createMetrics({ defaults: false });
    const counter = metrics.counter({ name: 'skiff_errors_total', help: 'Errors.', labels: ['code'] });
    for (let index = 0; index < 2000; index++) counter.increment({ code: `code-${index}` });
    const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('skiff_errors_total'));
    assert.equal(lines.length, 501);
    assert.ok(lines.includes('skiff_errors_total{code="other"} 1500'));
  });
});
