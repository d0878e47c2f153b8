import { createHmac } from 'node:crypto';
import { type BlobCredential, isSharedKey, type SharedKey } from './credential.ts';
import { TokenCache } from './token-cache.ts';

export interface RequestToSign {
  readonly method: 'DELETE' | 'GET' | 'HEAD' | 'PUT';
  /** As sent: percent-encoded. */
  readonly path: string;
  /** Not encoded; names in lower case. */
  readonly query: Readonly<Record<string, string>>;
  /** All headers but `authorization`; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Makes the `authorization` header of the calls that do not go through the SDK. */
export interface Authorizer {
  authorize(request: RequestToSign): Promise<string>;
  /** The store answered 401 to this header. */
  refused(header: string): void;
}

export function createAuthorizer(credential: BlobCredential, tokens: TokenCache | undefined): Authorizer {
  if (!isSharedKey(credential)) {
    const cache = tokens ?? new TokenCache(credential);
    return {
      authorize: async () => `Bearer ${(await cache.get()).token}`,
      refused: (header) => cache.refused(header.slice('Bearer '.length)),
    };
  }
  const key = Buffer.from(credential.accountKey.reveal(), 'base64');
  return {
    authorize: async (request) => `SharedKey ${credential.accountName}:${createHmac('sha256', key).update(stringToSign(request, credential)).digest('base64')}`,
    refused: () => {},
  };
}

const SIGNED_HEADERS = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
];

/** Source: "Authorize with Shared Key", Blob service, version 2015-02-21 and later. */
function stringToSign(request: RequestToSign, { accountName }: Pick<SharedKey, 'accountName'>): string {
  const { headers, query } = request;
  const standard = SIGNED_HEADERS.map((name) => (name === 'content-length' && headers[name] === '0' ? '' : (headers[name] ?? '')));
  const vendor = sortedEntries(headers).filter(([name]) => name.startsWith('x-ms-'));
  const resource = [`/${accountName}${request.path}`, ...sortedEntries(query).map(([name, value]) => `${name}:${value}`)];
  return [request.method, ...standard, ...vendor.map(([name, value]) => `${name}:${value.trim()}`), ...resource].join('\n');
}

function sortedEntries(record: Readonly<Record<string, string>>): (readonly [string, string])[] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
