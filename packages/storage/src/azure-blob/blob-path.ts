import type { BlobName } from '@skiff/model/virtual-path';

/** Percent-encodes a blob name for a URL; the delimiter stays, everything else that could end or change the path does not. */
export function encodeBlobName(name: BlobName): string {
  return name.split('/').map(encodeURIComponent).join('/');
}

export interface ContainerAddress {
  /** Scheme, host, port and, for path-style accounts, the account: without a slash at the end. */
  readonly accountUrl: string;
  readonly container: string;
}

/** @throws {RangeError} for an address or a container name that cannot be one (Naming and referencing containers). */
export function parseContainerAddress(accountUrl: string, container: string): ContainerAddress {
  const url = URL.parse(accountUrl);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new RangeError('an account URL is http(s)://host[:port][/account], without query and credentials');
  }
  if (!/^(?=.{3,63}$)(?:\$root|[a-z0-9]+(?:-[a-z0-9]+)*)$/.test(container)) throw new RangeError('not a container name');
  return { accountUrl: url.origin + url.pathname.replace(/\/+$/, ''), container };
}
