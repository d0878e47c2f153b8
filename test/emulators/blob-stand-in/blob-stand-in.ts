import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { authorize, type BlobRequest, parseRequest } from './blob-request.ts';
import { Container } from './container.ts';
import { createFaultPlan, type FaultKind, type FaultPlan, type Faults } from './faults.ts';
import { type Account, type Answer, type Operation, operationOf } from './operations.ts';
import { discardedPayload, keptPayload, type Payload } from './payload.ts';
import { RestError } from './rest-error.ts';
import { errorXml } from './xml.ts';

export interface BlobStandInOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** PEM; bearer tokens are taken over TLS only, as by the real service. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Made at start. */
  readonly containers?: readonly string[];
  /** Keeps sizes only and gives back a pattern, so that gigabytes do not fill the memory. Block lists are kept. Default false. */
  readonly discardPayload?: boolean;
  /** Copies stay pending this long. Default 0. */
  readonly copyPendingMs?: number;
  readonly faults?: Faults;
}

export interface BlobStandInStats {
  /** By operation, e.g. `Put Block`. */
  readonly requests: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface BlobStandIn {
  /** `http(s)://127.0.0.1:PORT/ACCOUNT` */
  readonly url: string;
  readonly accountName: string;
  /** Base64. */
  readonly accountKey: string;
  stats(): BlobStandInStats;
  /** From now on; `{}` ends them. */
  setFaults(faults: Faults): void;
  /** What a load balancer does to connections that it has forgotten. */
  closeIdleConnections(): void;
  stop(): Promise<void>;
}

// The account of the public emulators, so that tools find it; nothing is protected by this key.
const ACCOUNT_NAME = 'devstoreaccount1';
const ACCOUNT_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

/** The Blob service's REST API in memory, fast enough that it is not what a benchmark measures, and faulty on request. */
export async function startBlobStandIn(options: BlobStandInOptions = {}): Promise<BlobStandIn> {
  const standIn = new StandIn(options);
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => void standIn.serve(incoming, outgoing);
  const server = options.tls === undefined ? http.createServer(listener) : https.createServer(options.tls, listener);
  server.on('clientError', (_error, socket) => socket.destroy());
  server.requestTimeout = 0;
  server.keepAliveTimeout = 75_000;
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  standIn.account.endpoint = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}/${ACCOUNT_NAME}`;
  return {
    url: standIn.account.endpoint,
    accountName: ACCOUNT_NAME,
    accountKey: ACCOUNT_KEY,
    stats: () => standIn.stats(),
    setFaults: (faults) => standIn.setFaults(faults),
    closeIdleConnections: () => server.closeIdleConnections(),
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

class StandIn {
  readonly account: Account & { endpoint: string };
  readonly #secure: boolean;
  readonly #discard: boolean;
  readonly #requests = new Map<string, number>();
  readonly #faults = new Map<string, number>();
  #plan: FaultPlan;
  #receivedBytes = 0;
  #sentBytes = 0;

  constructor(options: BlobStandInOptions) {
    const containers = new Map((options.containers ?? []).map((name) => [name, new Container()]));
    this.account = { name: ACCOUNT_NAME, endpoint: '', containers, copyPendingMs: options.copyPendingMs ?? 0 };
    this.#secure = options.tls !== undefined;
    this.#discard = options.discardPayload ?? false;
    this.#plan = createFaultPlan(options.faults ?? {});
  }

  setFaults(faults: Faults): void {
    this.#plan = createFaultPlan(faults);
  }

  stats(): BlobStandInStats {
    return {
      requests: Object.fromEntries(this.#requests),
      faults: Object.fromEntries(this.#faults),
      receivedBytes: this.#receivedBytes,
      sentBytes: this.#sentBytes,
    };
  }

  async serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    // A peer that goes away is what tests do to us; there is nobody left to tell.
    incoming.on('error', () => outgoing.destroy());
    outgoing.on('error', () => outgoing.destroy());
    try {
      await this.#answer(incoming, outgoing);
    } catch (error) {
      if (!incoming.complete) incoming.resume();
      const { status, code, headers } = error instanceof RestError ? error : new RestError(500, 'InternalError');
      if (!(error instanceof RestError) && !incoming.destroyed) console.error(error);
      send(outgoing, incoming.method === 'HEAD', {
        status,
        headers: { ...headers, 'x-ms-error-code': code, 'content-type': 'application/xml' },
        text: errorXml(code),
      });
    }
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const request = parseRequest(incoming);
    const operation = operationOf(request);
    count(this.#requests, operation.name);
    const { kind, delayMs } = this.#plan.draw(operation.name);
    if (kind !== undefined) count(this.#faults, kind);
    if (kind === 'reset') return void incoming.socket.destroy();
    const body = await this.#receive(incoming, operation);
    if (delayMs > 0) await delay(delayMs);
    failIf(kind, this.#plan.retryAfter);
    authorize(request, { name: ACCOUNT_NAME, key: ACCOUNT_KEY }, this.#secure);
    const answer = this.#run(operation, request, body);
    if (kind === 'lost') return void incoming.socket.destroy();
    this.#sentBytes += answer.body?.sizeBytes ?? 0;
    send(outgoing, request.method === 'HEAD', answer, kind === 'truncate');
  }

  #run(operation: Operation, request: BlobRequest, body: Payload): Answer {
    if (request.account !== ACCOUNT_NAME) throw new RestError(404, 'ResourceNotFound');
    return operation.run(this.account, request, body);
  }

  async #receive(incoming: IncomingMessage, operation: Operation): Promise<Payload> {
    const { promise, resolve, reject } = Promise.withResolvers<Payload>();
    const discard = this.#discard && (operation.name === 'Put Block' || operation.name === 'Put Blob');
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    incoming.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (!discard) chunks.push(chunk);
    });
    incoming.on('end', () => resolve(discard ? discardedPayload(sizeBytes) : keptPayload(chunks, sizeBytes)));
    incoming.on('error', reject);
    const payload = await promise;
    this.#receivedBytes += payload.sizeBytes;
    return payload;
  }
}

function failIf(kind: FaultKind | undefined, retryAfter: Readonly<Record<string, string>>): void {
  if (kind === 'busy') throw new RestError(503, 'ServerBusy', retryAfter);
  if (kind === 'throttle') throw new RestError(429, 'TooManyRequests', retryAfter);
  if (kind === 'error') throw new RestError(500, 'InternalError');
}

function send(outgoing: ServerResponse, headOnly: boolean, answer: Answer, truncated = false): void {
  const text = answer.text === undefined ? undefined : Buffer.from(answer.text);
  const sizeBytes = text?.length ?? answer.body?.sizeBytes ?? 0;
  outgoing.writeHead(answer.status, { 'x-ms-request-id': randomUUID(), 'x-ms-version': '2024-08-04', 'content-length': sizeBytes, ...answer.headers });
  if (headOnly) return void outgoing.end();
  if (text !== undefined) return void outgoing.end(text);
  if (truncated) {
    cutOff(outgoing, answer);
    return;
  }
  outgoing.cork();
  for (const chunk of answer.body?.chunks ?? []) outgoing.write(chunk);
  outgoing.end();
  outgoing.uncork();
}

function cutOff(outgoing: ServerResponse, answer: Answer): void {
  let left = Math.floor((answer.body?.sizeBytes ?? 0) / 2);
  for (const chunk of answer.body?.chunks ?? []) {
    outgoing.write(chunk.subarray(0, left));
    left -= Math.min(left, chunk.length);
  }
  outgoing.write('', () => outgoing.destroy());
}

function count(counters: Map<string, number>, name: string): void {
  counters.set(name, (counters.get(name) ?? 0) + 1);
}
