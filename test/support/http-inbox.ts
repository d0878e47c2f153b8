import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';

export interface Received {
  readonly atMs: number;
  readonly headers: IncomingMessage['headers'];
  readonly path: string;
  readonly body: string;
}

export interface HttpInbox {
  readonly url: string;
  readonly received: readonly Received[];
  /** Answers every request from now on with this. */
  answer(status: number, headers?: Readonly<Record<string, string>>): void;
  /** The first request, past or to come, that matches. */
  waitFor(what: string, matches: (received: Received) => boolean, timeoutMs?: number): Promise<Received>;
  close(): Promise<void>;
}

/** The application that waits for files: keeps what it is sent. */
export async function startHttpInbox(port = 0): Promise<HttpInbox> {
  const received: Received[] = [];
  const listeners = new Set<(received: Received) => void>();
  let status = 204;
  let extra: Readonly<Record<string, string>> = {};
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const one = { atMs: Date.now(), headers: request.headers, path: request.url ?? '/', body: Buffer.concat(chunks).toString() };
      received.push(one);
      response.writeHead(status, extra).end();
      for (const listener of listeners) listener(one);
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the inbox has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    received,
    answer(next, headers = {}) {
      status = next;
      extra = headers;
    },
    async waitFor(what, matches, timeoutMs = 20_000) {
      const past = received.find(matches);
      if (past !== undefined) return past;
      const found = Promise.withResolvers<Received>();
      const listener = (one: Received) => {
        if (matches(one)) found.resolve(one);
      };
      const timer = setTimeout(() => found.reject(new Error(`no ${what} within ${timeoutMs} ms (${received.length} requests came)`)), timeoutMs);
      listeners.add(listener);
      try {
        return await found.promise;
      } finally {
        clearTimeout(timer);
        listeners.delete(listener);
      }
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
