import { Pool } from 'undici';
import type { DeliveryInput, DeliveryOutcome, DeliveryTarget } from '../delivery-target.ts';
import { type AddressPolicy, AddressRefusedError } from './address-guard.ts';
import { type ContentMode, encodeRequest } from './cloud-event-request.ts';
import { createGuardedConnector } from './guarded-connector.ts';
import { parseRetryAfter } from './retry-after.ts';

/** Answer bodies are read so that the connection can be used again, and no further than this. */
const MAX_ANSWER_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 15_000;
const CONNECT_TIMEOUT_MS = 10_000;

export interface HttpTargetOptions {
  /** `http:` or `https:`, without user information. */
  readonly url: string;
  readonly format: ContentMode;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** One attempt: waiting for a connection, connecting, sending, and the answer to its end. */
  readonly timeoutMs: number;
  readonly addresses: AddressPolicy;
  /** Such as `skiff/1.2.3`. */
  readonly userAgent: string;
  /** Open connections at a time. Default: 32. */
  readonly maxConnections?: number;
  /** Certificates (PEM) to trust in place of the system's. */
  readonly ca?: string;
  /** Milliseconds since the epoch, for dates in `Retry-After`. Default: `Date.now`. */
  readonly now?: () => number;
}

/** The target cannot work as it is described. */
export class HttpTargetError extends Error {
  readonly code = 'InvalidTarget';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HttpTargetError';
  }
}

/** Headers that belong to the protocol or to the event; a route that sets one would break what it does not see. */
const OWN_HEADERS = /^(?:host|content-length|content-type|transfer-encoding|connection|keep-alive|upgrade|expect|te|trailer|proxy-.*|ce-.*)$/i;

/**
 * Posts each event to one URL. 2xx is success; 408, 425, 429, 5xx and everything that goes wrong on the way may be tried again;
 * other answers are a refusal. Redirects are not followed: an event must not end up where nobody sent it.
 *
 * @throws {HttpTargetError} for a URL or header that cannot be used.
 */
export function createHttpTarget(options: HttpTargetOptions): DeliveryTarget {
  const url = parseTargetUrl(options.url);
  const extraHeaders = parseHeaders(options.headers);
  const now = options.now ?? Date.now;
  const pool = new Pool(url.origin, {
    connections: options.maxConnections ?? 32,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    headersTimeout: options.timeoutMs + 1000,
    bodyTimeout: options.timeoutMs + 1000,
    connect: createGuardedConnector(options.addresses, {
      timeout: Math.min(CONNECT_TIMEOUT_MS, options.timeoutMs),
      allowH2: false,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    }),
  });
  const path = `${url.pathname}${url.search}`;

  const post = async (input: DeliveryInput, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const { headers, body } = encodeRequest(input, options.format);
    const answer = await pool.request({
      method: 'POST',
      path,
      headers: { 'user-agent': options.userAgent, accept: '*/*', ...headers, ...extraHeaders },
      body,
      signal,
    });
    await answer.body.dump({ limit: MAX_ANSWER_BYTES, signal });
    return outcomeOf(answer.statusCode, parseRetryAfter(answer.headers['retry-after'], now()));
  };

  return {
    async deliver(input, signal) {
      const abort = new AbortController();
      const onAbort = () => abort.abort(new AttemptEnded('aborted'));
      const timer = setTimeout(() => abort.abort(new AttemptEnded(`no answer within ${options.timeoutMs} ms`)), options.timeoutMs);
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      try {
        return await post(input, abort.signal);
      } catch (error) {
        return failureOf(error);
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      }
    },
    close: () => pool.close(),
  };
}

class AttemptEnded extends Error {}

function outcomeOf(status: number, retryAfterMs: number | undefined): DeliveryOutcome {
  if (status >= 200 && status < 300) return { kind: 'delivered', detail: `HTTP ${status}` };
  const retryable = status === 408 || status === 425 || status === 429 || status >= 500;
  if (!retryable) return { kind: 'rejected', reason: `HTTP ${status}` };
  return { kind: 'retry', reason: `HTTP ${status}`, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** A refused name may resolve to something else later (a DNS error, or an attack that ends); a refused literal never will. */
function failureOf(error: unknown): DeliveryOutcome {
  if (error instanceof AttemptEnded) return { kind: 'retry', reason: error.message };
  const refused = findRefusal(error);
  if (refused !== undefined) return { kind: refused.literal ? 'rejected' : 'retry', reason: refused.message };
  if (!(error instanceof Error)) return { kind: 'retry', reason: 'unknown failure' };
  const code: unknown = 'code' in error ? error.code : undefined;
  return { kind: 'retry', reason: typeof code === 'string' ? `${code}: ${firstLine(error.message)}` : firstLine(error.message) };
}

function findRefusal(error: unknown): AddressRefusedError | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof AddressRefusedError) return at;
  }
  return undefined;
}

function firstLine(message: string): string {
  return (message.split('\n', 1)[0] ?? '').slice(0, 200);
}

function parseTargetUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw new HttpTargetError('the URL is not an http or https address');
  if (url.username !== '' || url.password !== '') throw new HttpTargetError('the URL holds credentials');
  return url;
}

function parseHeaders(headers: HttpTargetOptions['headers']): Readonly<Record<string, string>> {
  const parsed: Record<string, string> = {};
  for (const { name, value } of headers) {
    if (!/^[A-Za-z0-9-]{1,64}$/.test(name) || OWN_HEADERS.test(name)) throw new HttpTargetError(`header ${name} cannot be set`);
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) throw new HttpTargetError(`the value of header ${name} holds characters that HTTP does not allow`);
    parsed[name.toLowerCase()] = value;
  }
  return parsed;
}
