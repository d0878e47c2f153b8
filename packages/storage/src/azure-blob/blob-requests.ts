import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { withDeadline } from '../deadline.ts';
import type { Authorizer, RequestToSign } from './authorization.ts';
import { blobError, connectionError } from './blob-error.ts';

/** The calls below as this version defines them. */
const API_VERSION = '2024-08-04';

/** An error's body is XML of some hundred bytes. */
const MAX_ERROR_BYTES = 64 * 1024;

export interface BlobRequest {
  readonly operation: string;
  readonly method: 'DELETE' | 'GET' | 'HEAD' | 'PUT';
  /** Percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent one after the other, never joined. */
  readonly parts?: readonly Uint8Array[];
  readonly contentLength?: number;
  /** True when a repetition after a lost answer does no harm. */
  readonly repeatable: boolean;
  /** Answers other than errors. */
  readonly accepted: readonly number[];
  readonly maxResponseBytes: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface BlobResponse {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly parts: readonly Buffer[];
  readonly sizeBytes: number;
}

export type BlobAgent = http.Agent | https.Agent;

export function createBlobAgent(secure: boolean, options: { readonly maxSockets: number; readonly ca?: string | undefined }): BlobAgent {
  // Idle sockets are dropped before the service's load balancer forgets them (Azure: 4 minutes).
  const common = {
    keepAlive: true,
    noDelay: true,
    maxSockets: options.maxSockets,
    maxFreeSockets: options.maxSockets,
    timeout: 60_000,
    scheduling: 'lifo',
  } as const;
  if (!secure) return new http.Agent(common);
  return new https.Agent(options.ca === undefined ? common : { ...common, ca: options.ca });
}

/**
 * The calls whose cost matters: per byte, where the SDK would join or wrap the parts (`test/bench/storage-client.ts`), and per
 * file, where its pipeline costs more than all else that the server does (`test/bench/latency.ts`).
 */
export class BlobRequests {
  readonly #origin: URL;
  readonly #agent: BlobAgent;
  readonly #authorizer: Authorizer;

  constructor(props: { readonly accountUrl: string; readonly agent: BlobAgent; readonly authorizer: Authorizer }) {
    this.#origin = new URL(props.accountUrl);
    this.#agent = props.agent;
    this.#authorizer = props.authorizer;
  }

  /** @throws {StoreError} for everything but an accepted answer, received whole. */
  async send(request: BlobRequest): Promise<BlobResponse> {
    return await withDeadline(request.signal, request.timeoutMs, async (signal) => {
      const first = await this.#attempt(request, signal);
      if (first !== 'staleSocket') return first;
      const second = await this.#attempt(request, signal);
      if (second !== 'staleSocket') return second;
      throw connectionError(request.operation, new Error('connections are closed before they answer'));
    });
  }

  async #attempt(request: BlobRequest, signal: AbortSignal): Promise<BlobResponse | 'staleSocket'> {
    const toSign: RequestToSign = {
      method: request.method,
      path: request.path,
      query: request.query ?? {},
      headers: {
        ...request.headers,
        ...(request.contentLength === undefined ? {} : { 'content-length': String(request.contentLength) }),
        'x-ms-date': new Date().toUTCString(),
        'x-ms-version': API_VERSION,
      },
    };
    const authorization = await this.#authorizer.authorize(toSign);
    const response = await this.#exchange(request, { ...toSign.headers, authorization }, signal);
    if (response === 'staleSocket' || request.accepted.includes(response.status)) return response;
    if (response.status === 401) this.#authorizer.refused(authorization);
    throw blobError({
      operation: request.operation,
      status: response.status,
      errorCode: single(response.headers['x-ms-error-code']) ?? /<Code>([A-Za-z0-9]+)<\/Code>/.exec(Buffer.concat(response.parts).toString())?.[1],
      requestId: single(response.headers['x-ms-request-id']),
      retryAfter: response.headers['retry-after'],
    });
  }

  #exchange(request: BlobRequest, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<BlobResponse | 'staleSocket'> {
    const { promise, resolve, reject } = Promise.withResolvers<BlobResponse | 'staleSocket'>();
    if (signal.aborted) return Promise.reject(signal.reason);
    const outgoing = this.#open(request, headers);
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // The server closed an idle connection while we were taking it from the pool (Node's docs, request.reusedSocket).
      const stale = request.repeatable && outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE') && !signal.aborted;
      if (stale) resolve('staleSocket');
      else reject(connectionError(request.operation, error));
    });
    const onAbort = (): void => void outgoing.destroy(new Error('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    outgoing.on('response', (incoming) => {
      const max = request.accepted.includes(incoming.statusCode ?? 0) ? request.maxResponseBytes : MAX_ERROR_BYTES;
      receive(incoming, max).then(
        (response) => {
          // An early refusal: what is still unsent of the body has no taker.
          if (!outgoing.writableFinished) outgoing.destroy();
          resolve(response);
        },
        (error: unknown) => {
          outgoing.destroy();
          reject(connectionError(request.operation, error));
        },
      );
    });
    outgoing.cork();
    for (const part of request.parts ?? []) outgoing.write(part);
    outgoing.end();
    outgoing.uncork();
    return promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  #open(request: BlobRequest, headers: Readonly<Record<string, string>>): ClientRequest {
    const query = Object.entries(request.query ?? {}).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    const { protocol, hostname, port } = this.#origin;
    return (protocol === 'https:' ? https : http).request({
      agent: this.#agent,
      // URL keeps the brackets of an IPv6 literal, connect() wants none.
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      method: request.method,
      path: request.path + (query.length === 0 ? '' : `?${query.join('&')}`),
      headers,
    });
  }
}

function receive(incoming: IncomingMessage, maxBytes: number): Promise<BlobResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<BlobResponse>();
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  incoming.on('error', reject);
  incoming.on('data', (part: Buffer) => {
    sizeBytes += part.length;
    if (sizeBytes > maxBytes) reject(new Error(`the answer is larger than ${maxBytes} bytes`));
    else parts.push(part);
  });
  incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, parts, sizeBytes }));
  return promise;
}

function single(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.[0];
}
