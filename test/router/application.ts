import { once } from 'node:events';
import { createServer } from 'node:http';

export interface Call {
  readonly path: string;
  readonly eventId: string;
  readonly atMs: number;
  /** How many calls this path got for this event, this one included. */
  readonly count: number;
}
/** Status and headers of the answer, and how long it takes; undefined: none ever comes. */
export type Answer = { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly afterMs?: number } | undefined;

/** Applications that wait for events: one server, one per path. */
export interface Application {
  readonly url: string;
  readonly calls: readonly Call[];
  callsTo(path: string): readonly Call[];
  /** Sets how a path answers. Default: 204. */
  on(path: string, answer: (call: Call) => Answer): void;
  close(): Promise<void>;
}

export async function startApplication(): Promise<Application> {
  const calls: Call[] = [];
  const counts = new Map<string, number>();
  const answers = new Map<string, (call: Call) => Answer>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = request.url ?? '/';
      const eventId = idOf(Buffer.concat(chunks).toString());
      const count = (counts.get(`${path} ${eventId}`) ?? 0) + 1;
      counts.set(`${path} ${eventId}`, count);
      const call = { path, eventId, atMs: performance.now(), count };
      calls.push(call);
      const behave = answers.get(path);
      const answer: Answer = behave === undefined ? { status: 204 } : behave(call);
      if (answer === undefined) return;
      const send = () => response.writeHead(answer.status, answer.headers).end();
      if (answer.afterMs === undefined) send();
      else setTimeout(send, answer.afterMs);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the application has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    calls,
    callsTo: (path) => calls.filter((call) => call.path === path),
    on(path, answer) {
      answers.set(path, answer);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function idOf(body: string): string {
  const parsed: unknown = JSON.parse(body);
  return typeof parsed === 'object' && parsed !== null && 'id' in parsed ? String(parsed.id) : '';
}
