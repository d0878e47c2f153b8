import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { announceReady, answerQuestions, endOnSignal } from '../emulator-main.ts';
import { startBlobStandIn } from './blob-stand-in.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    container: { type: 'string', multiple: true, default: ['files'] },
    'tls-key': { type: 'string' },
    'tls-cert': { type: 'string' },
    discard: { type: 'boolean', default: false },
    'latency-ms': { type: 'string', default: '0' },
    'error-rate': { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
  },
});

const key = values['tls-key'];
const cert = values['tls-cert'];
const standIn = await startBlobStandIn({
  port: Number(values.port),
  containers: values.container,
  discardPayload: values.discard,
  faults: { latencyMs: Number(values['latency-ms']), errorRate: Number(values['error-rate']), seed: Number(values.seed) },
  ...(key === undefined || cert === undefined ? {} : { tls: { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') } }),
});
endOnSignal(() => standIn.stop());
answerQuestions((question) => answer(question));
announceReady({ url: standIn.url, accountName: standIn.accountName, accountKey: standIn.accountKey });

/** `"stats"`, or `{"faults": {...}}` to set them. */
function answer(question: unknown): unknown {
  if (typeof question === 'object' && question !== null && 'faults' in question && typeof question.faults === 'object' && question.faults !== null) {
    standIn.setFaults(question.faults);
  }
  return standIn.stats();
}
