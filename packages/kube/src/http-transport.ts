import * as http from 'node:http';
import * as https from 'node:https';
import type { Socket } from 'node:net';
import type { KubeTarget } from './kube-config.ts';
import { abortedByCaller, KubeError, noAnswer } from './kube-error.ts';

/*
 * HTTP/1.1 by node:https in place of the generated client's fetch machinery: each watch has a connection of its own that
 * can be timed, probed and destroyed by itself. (The generated client stops watching for good on most errors and has a
 * history of watches that hang unnoticed.) Kubeconfig, certificates, tokens and exec plugins stay with the generated client.
 */

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path below the server's base URL. */
  readonly path: string;
  readonly query?: URLSearchParams;
  readonly contentType?: string;
  readonly body?: string;
  /** For the whole answer; for {@link HttpTransport.open} until its headers are there. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Throws when the request must not be sent any more; asked at the last moment. */
  readonly guard?: (() => void) | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Longest answer, bytes. A page that is longer is asked for again with fewer items. */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
export const ANSWER_TOO_LARGE = 'AnswerTooLarge';
/** Probes a peer that vanished without a word; libuv then sends one probe per second, ten at most. */
const TCP_KEEP_ALIVE_MS = 15_000;

export class HttpTransport {
  readonly #target: KubeTarget;
  readonly #client: typeof http | typeof https;
  readonly #pooled: http.Agent;
  /** Watches live long and are few: one connection each, never shared and never kept. */
  readonly #unpooled: http.Agent;

  constructor(target: KubeTarget) {
    this.#target = target;
    this.#client = target.server.protocol === 'https:' ? https : http;
    // Pools are keyed by the TLS material of each request, so rotated certificates get fresh connections.
    this.#pooled = new this.#client.Agent({ keepAlive: true, keepAliveMsecs: TCP_KEEP_ALIVE_MS, maxSockets: 32, maxFreeSockets: 8 });
    this.#unpooled = new this.#client.Agent({ keepAlive: false });
  }

  /** @throws {KubeError} `unavailable` without an answer, `aborted` by the signal. Any HTTP status is an answer. */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await this.#request(request);
    } catch (error) {
      // The server closed an idle connection at the moment it was used again: nothing was processed.
      if (request.method === 'POST' || !(error instanceof StaleConnection) || request.signal.aborted) throw unwrap(error);
      return await this.#request(request).catch((again: unknown) => {
        throw unwrap(again);
      });
    }
  }

  /** As {@link request}, but gives the body as it comes. The caller destroys it; no timeout holds once it is open. */
  async open(request: HttpRequest): Promise<http.IncomingMessage> {
    const deadline = startDeadline(request);
    try {
      const response = await this.#send(request, this.#unpooled, deadline);
      const close = () => response.destroy(abortedByCaller(request.signal.reason));
      request.signal.addEventListener('abort', close, { once: true });
      response.on('close', () => request.signal.removeEventListener('abort', close));
      return response;
    } catch (error) {
      throw unwrap(error);
    } finally {
      deadline.clear();
    }
  }

  /** Closes idle connections; requests under way fail. */
  close(): void {
    this.#pooled.destroy();
    this.#unpooled.destroy();
  }

  async #request(request: HttpRequest): Promise<HttpAnswer> {
    const deadline = startDeadline(request);
    try {
      const response = await this.#send(request, this.#pooled, deadline);
      const body = await readBody(response, deadline);
      return { status: response.statusCode ?? 0, headers: response.headers, body };
    } catch (error) {
      // Other idle connections may be as dead as the one that timed out.
      if (deadline.expired) dropIdle(this.#pooled);
      throw error;
    } finally {
      deadline.clear();
    }
  }

  async #send(request: HttpRequest, agent: http.Agent, deadline: Deadline): Promise<http.IncomingMessage> {
    const credentials = await Promise.race([this.#target.authorize(), deadline.reached]);
    if (request.signal.aborted) throw abortedByCaller(request.signal.reason);
    request.guard?.();
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const { server } = this.#target;
    const query = request.query === undefined || request.query.size === 0 ? '' : `?${request.query}`;
    const outgoing = this.#client.request({
      ...credentials.tls,
      method: request.method,
      hostname: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port,
      path: `${server.pathname.replace(/\/$/, '')}${request.path}${query}`,
      agent: credentials.proxyAgent ?? agent,
      headers: {
        ...credentials.headers,
        Accept: 'application/json',
        'User-Agent': 'skiff',
        ...(request.body === undefined ? {} : { 'Content-Type': request.contentType ?? 'application/json', 'Content-Length': Buffer.byteLength(request.body) }),
      },
    });
    outgoing.on('error', (cause: NodeJS.ErrnoException) => {
      reject(outgoing.reusedSocket && cause.code === 'ECONNRESET' ? new StaleConnection(noAnswer('connection was closed', cause)) : cause);
    });
    outgoing.on('socket', (socket) => {
      socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
      whenConnected(socket, () => {
        try {
          // Once more: the process may have been suspended while the connection was made.
          request.guard?.();
          outgoing.end(request.body);
        } catch (error) {
          reject(error);
          outgoing.destroy();
        }
      });
    });
    outgoing.on('response', (response) => {
      response.on('error', () => deadline.clear());
      resolve(response);
    });
    const giveUp = deadline.reached.catch((error: unknown) => {
      outgoing.destroy(error instanceof Error ? error : noAnswer('gave up', error));
      throw error;
    });
    return Promise.race([promise, giveUp]).catch((error: unknown) => {
      throw error instanceof KubeError || error instanceof StaleConnection ? error : noAnswer('the API server cannot be reached', error);
    });
  }
}

/** The end of a request's time, or the caller's signal, whichever comes first. */
interface Deadline {
  /** Rejects with a KubeError; never resolves. */
  readonly reached: Promise<never>;
  readonly expired: boolean;
  clear(): void;
}

function startDeadline(request: HttpRequest): Deadline {
  const { promise, reject } = Promise.withResolvers<never>();
  // Whoever waits gets the rejection; nobody may be waiting when it comes.
  promise.catch(() => undefined);
  let expired = false;
  const abort = () => reject(abortedByCaller(request.signal.reason));
  const timer = setTimeout(() => {
    expired = true;
    reject(noAnswer(`no answer within ${request.timeoutMs} ms`));
  }, request.timeoutMs);
  request.signal.addEventListener('abort', abort, { once: true });
  if (request.signal.aborted) abort();
  return {
    reached: promise,
    get expired() {
      return expired;
    },
    clear() {
      clearTimeout(timer);
      request.signal.removeEventListener('abort', abort);
    },
  };
}

async function readBody(response: http.IncomingMessage, deadline: Deadline): Promise<string> {
  deadline.reached.catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) continue;
      sizeBytes += chunk.length;
      if (sizeBytes > MAX_ANSWER_BYTES) {
        throw new KubeError({
          code: 'unsupported',
          httpStatus: 0,
          vendorCode: ANSWER_TOO_LARGE,
          message: `the answer is longer than ${MAX_ANSWER_BYTES} bytes`,
        });
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof KubeError ? error : noAnswer('the answer was cut off', error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Calls back when what is written goes out at once: now, on a connection that is kept. */
function whenConnected(socket: Socket, then: () => void): void {
  // Undocumented; were it gone, the look would come one handshake earlier.
  if ('secureConnecting' in socket && socket.secureConnecting === true) socket.once('secureConnect', then);
  else if (socket.connecting) socket.once('connect', then);
  else then();
}

function dropIdle(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

class StaleConnection extends Error {
  readonly error: KubeError;
  constructor(error: KubeError) {
    super(error.message, { cause: error });
    this.error = error;
  }
}

function unwrap(error: unknown): unknown {
  return error instanceof StaleConnection ? error.error : error;
}
