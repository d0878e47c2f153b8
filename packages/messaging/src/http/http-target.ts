import { Pool } from 'undici';
import type { DeliveryInput, DeliveryOutcome, DeliveryTarget, OpenEventFile } from '../delivery-target.ts';
import { FieldTemplateError } from '../field-template.ts';
import type { TlsMaterial } from '../tls-material.ts';
import { type AddressPolicy, AddressRefusedError } from './address-guard.ts';
import { type Authorization, AuthorizationError } from './authorization.ts';
import { type ContentMode, encodeRequest } from './cloud-event-request.ts';
import { type FileRequest, FileUnavailableError, openFileRequest } from './file-request.ts';
import { createGuardedConnector } from './guarded-connector.ts';
import { type HeaderSpec, parseHeaderTemplates } from './header-templates.ts';
import { parseRetryAfter } from './retry-after.ts';
import { parseUrlTemplate } from './url-template.ts';
import type { WebhookSigner } from './webhook-signature.ts';

export { HttpTargetError } from './http-target-error.ts';

/** Answer bodies are read so that the connection can be used again, and no further than this. */
const MAX_ANSWER_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 15_000;
const CONNECT_TIMEOUT_MS = 10_000;

export interface HttpTargetOptions {
  /** `http:` or `https:`, without user information. May hold fields of the event after the host. */
  readonly url: string;
  readonly format: ContentMode;
  readonly headers: readonly HeaderSpec[];
  /** One attempt: a token, waiting for a connection, connecting, sending, and the answer to its end. */
  readonly timeoutMs: number;
  readonly addresses: AddressPolicy;
  /** Such as `skiff/1.2.3`. */
  readonly userAgent: string;
  /** Open connections at a time. Default: 32. */
  readonly maxConnections?: number;
  readonly tls?: TlsMaterial;
  /** Closed with the target. */
  readonly authorization?: Authorization;
  readonly signer?: WebhookSigner;
  /** Sends the file in place of the event. */
  readonly openFile?: OpenEventFile;
  /** Milliseconds since the epoch, for dates in `Retry-After` and the time of signatures. Default: `Date.now`. */
  readonly now?: () => number;
}

/**
 * Posts each event, or its file, to one URL. 2xx is success; 408, 425, 429, 5xx and everything that goes wrong on the way may be
 * tried again; other answers are a refusal. Redirects are not followed: an event must not end up where nobody sent it.
 *
 * @throws {HttpTargetError} for a URL or header that cannot be used.
 */
export function createHttpTarget(options: HttpTargetOptions): DeliveryTarget {
  const { authorization, timeoutMs } = options;
  const post = createPost(options);
  return {
    async deliver(input, signal) {
      const abort = new AbortController();
      const onAbort = () => abort.abort(new AttemptEnded('aborted'));
      const timer = setTimeout(() => abort.abort(new AttemptEnded(`no answer within ${timeoutMs} ms`)), timeoutMs);
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      try {
        return await post.send(input, abort.signal);
      } catch (error) {
        return failureOf(abort.signal.aborted ? abort.signal.reason : error);
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      }
    },
    async close() {
      await post.close();
      await authorization?.close();
    },
  };
}

interface Post {
  send(input: DeliveryInput, signal: AbortSignal): Promise<DeliveryOutcome>;
  close(): Promise<void>;
}

function createPost(options: HttpTargetOptions): Post {
  const { authorization, signer, openFile, timeoutMs, tls = {}, format, userAgent, now = Date.now } = options;
  const url = parseUrlTemplate(options.url);
  const headersFor = parseHeaderTemplates(options.headers);
  const pool = new Pool(url.origin, {
    connections: options.maxConnections ?? 32,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    headersTimeout: timeoutMs + 1000,
    bodyTimeout: timeoutMs + 1000,
    connect: createGuardedConnector(options.addresses, { timeout: Math.min(CONNECT_TIMEOUT_MS, timeoutMs), allowH2: false, ...tls }),
  });
  return {
    async send(input, signal) {
      const path = url.pathFor(input);
      const own = { 'user-agent': userAgent, accept: '*/*', ...headersFor(input) };
      const authorized = authorization === undefined ? own : { ...own, authorization: await authorization.header(signal) };
      const file = openFile === undefined ? undefined : await openFileRequest(openFile, input, signal);
      const { headers, body } = file ?? signed(input);
      const answer = await orFileFailure(file, pool.request({ method: 'POST', path, headers: { ...headers, ...authorized }, body, signal }));
      await answer.body.dump({ limit: MAX_ANSWER_BYTES, signal });
      if (answer.statusCode === 401 && authorization?.refused() === true) return { kind: 'retry', reason: 'HTTP 401; a new token comes with the next attempt' };
      return outcomeOf(answer.statusCode, parseRetryAfter(answer.headers['retry-after'], now()));
    },
    close: () => pool.close(),
  };

  function signed(input: DeliveryInput) {
    const { headers, body } = encodeRequest(input, format);
    return signer === undefined ? { headers, body } : { headers: { ...headers, ...signer.headers(input.eventId, body, now()) }, body };
  }
}

/** Undici tells of a broken body as of a broken connection; the file knows better. */
async function orFileFailure<Answer>(file: FileRequest | undefined, request: Promise<Answer>): Promise<Answer> {
  try {
    return await request;
  } catch (error) {
    throw file?.failure() ?? error;
  }
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
  if (error instanceof AttemptEnded || error instanceof AuthorizationError) return { kind: 'retry', reason: error.message };
  if (error instanceof FieldTemplateError) return { kind: 'rejected', reason: error.message };
  if (error instanceof FileUnavailableError) return { kind: error.gone ? 'rejected' : 'retry', reason: error.message };
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
