import { readFile } from 'node:fs/promises';
import { Value } from 'typebox/value';
import { announceReady, answerQuestions, endOnSignal } from '../emulator-main.ts';
import { startServiceBus } from './server.ts';
import { ServerConfig } from './server-config.ts';

/** `node main.ts config.json` */
const config: unknown = JSON.parse(await readFile(process.argv[2] ?? 'config.json', 'utf8'));
Value.Assert(ServerConfig, config);
const server = await startServiceBus(config);
const { namespace } = server;
endOnSignal(() => server.stop());
answerQuestions((question) => {
  switch (question) {
    case 'counts':
      return Object.fromEntries(Array.from(namespace.queues.values(), (queue) => [queue.name, queue.messages.size]));
    case 'throttle':
    case 'unthrottle':
      namespace.faults.throttle = question === 'throttle';
      return 'done';
    case 'detachLinks':
      server.detachLinks();
      return 'done';
    case 'dropConnections':
      server.dropConnections();
      return 'done';
    default:
      return `unknown question: ${String(question)}`;
  }
});
announceReady({ port: server.port, tlsPort: server.tlsPort });
