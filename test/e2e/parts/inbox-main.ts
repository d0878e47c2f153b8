import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

/**
 * The application that waits for files: takes what is posted, and shows it under GET /received as
 * `[{atMs, path, headers, body}]`. `node inbox.mjs PORT`
 */
const MAX_KEPT = 20_000;
const received: { readonly atMs: number; readonly path: string; readonly headers: unknown; readonly body: string }[] = [];

const server = createServer((request, response) => {
  request.on('error', () => undefined);
  if (request.method === 'GET') {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(received));
    return;
  }
  text(request).then(
    (body) => {
      received.push({ atMs: Date.now(), path: request.url ?? '/', headers: request.headers, body });
      if (received.length > MAX_KEPT) received.shift();
      response.writeHead(204).end();
    },
    () => response.writeHead(400).end(),
  );
});
server.listen(Number(process.argv[2] ?? '8080'));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
