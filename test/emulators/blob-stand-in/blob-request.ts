import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Conditions } from './container.ts';
import { RestError } from './rest-error.ts';

/** A request to the Blob service, taken apart. */
export interface BlobRequest {
  readonly method: string;
  /** Percent-encoded, as sent. */
  readonly path: string;
  readonly account: string;
  readonly container: string;
  /** Empty for an operation on the container. */
  readonly blob: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
}

/** Path-style addresses: `/account/container/blob`. */
export function parseRequest(incoming: IncomingMessage): BlobRequest {
  const target = incoming.url ?? '/';
  const cut = target.indexOf('?');
  const path = cut === -1 ? target : target.slice(0, cut);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) headers[name] = Array.isArray(value) ? value.join(',') : (value ?? '');
  const [account = '', container = '', ...blob] = path.slice(1).split('/').map(decodeSegment);
  return {
    method: incoming.method ?? 'GET',
    path,
    account,
    container,
    blob: blob.join('/'),
    query: new URLSearchParams(cut === -1 ? '' : target.slice(cut)),
    headers,
  };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new RestError(400, 'InvalidUri');
  }
}

export function conditionsOf(request: BlobRequest, prefix = ''): Conditions {
  return { ifMatch: request.headers[`${prefix}if-match`], ifNoneMatch: request.headers[`${prefix}if-none-match`] };
}

export function metadataOf(request: BlobRequest): Readonly<Record<string, string>> {
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (!name.startsWith('x-ms-meta-')) continue;
    const key = name.slice('x-ms-meta-'.length);
    if (!/^[a-z_][a-z0-9_]*$/.test(key)) throw new RestError(400, 'InvalidMetadata');
    metadata[key] = value;
  }
  return metadata;
}

/** @throws {RestError} 401 without credentials, 403 with wrong ones. Any bearer token passes, over TLS only. */
export function authorize(request: BlobRequest, account: { readonly name: string; readonly key: string }, secure: boolean): void {
  const { authorization } = request.headers;
  if (authorization === undefined) throw new RestError(401, 'NoAuthenticationInformation', { 'www-authenticate': 'Bearer' });
  if (/^Bearer \S+$/.test(authorization)) {
    if (!secure) throw new RestError(403, 'AuthenticationFailed');
    return;
  }
  const expected = Buffer.from(`SharedKey ${account.name}:${sign(request, account)}`);
  const given = Buffer.from(authorization);
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) throw new RestError(403, 'AuthenticationFailed');
}

const STANDARD_HEADERS =
  'content-encoding content-language content-length content-md5 content-type date if-modified-since if-match if-none-match if-unmodified-since range';

/** "Authorize with Shared Key": the string is built from the request as it arrived. */
function sign(request: BlobRequest, account: { readonly name: string; readonly key: string }): string {
  const lines = [request.method];
  for (const name of STANDARD_HEADERS.split(' ')) {
    const value = request.headers[name] ?? '';
    lines.push(name === 'content-length' && value === '0' ? '' : value);
  }
  const vendor = Object.keys(request.headers).filter((name) => name.startsWith('x-ms-'));
  for (const name of vendor.sort(byCodeUnit)) lines.push(`${name}:${request.headers[name]?.trim()}`);
  lines.push(`/${account.name}${request.path}`);
  for (const name of [...new Set(request.query.keys())].sort(byCodeUnit))
    lines.push(`${name.toLowerCase()}:${request.query.getAll(name).sort(byCodeUnit).join(',')}`);
  return createHmac('sha256', Buffer.from(account.key, 'base64')).update(lines.join('\n')).digest('base64');
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : 1;
}
