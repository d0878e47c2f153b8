// The application: notes when each file's event came, by the machine's clock, and says so when asked.
import { createServer } from 'node:http';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { announceReady, answerQuestions, endOnSignal } from '../../emulators/emulator-main.ts';
import { machineMs } from './clock.ts';
import type { Arrivals } from './messages.ts';

const Event = Type.Object({ data: Type.Object({ path: Type.String() }) });

const arrivals = new Map<string, number>();
let repeated = 0;

const server = createServer((request, response) => {
  const atMs = machineMs();
  const chunks: Buffer[] = [];
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const event: unknown = JSON.parse(Buffer.concat(chunks).toString());
    Value.Assert(Event, event);
    const { path } = event.data;
    if (arrivals.has(path)) repeated++;
    else arrivals.set(path, atMs);
    response.writeHead(204).end();
  });
});
server.on('clientError', (_error, socket) => socket.destroy());
server.keepAliveTimeout = 75_000;
answerQuestions((question): Arrivals | number => (question === 'count' ? arrivals.size : { arrivals: [...arrivals], repeated }));
endOnSignal(async () => {
  server.close();
  server.closeAllConnections();
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') announceReady({ port: address.port });
});
