import type { AuthorizedKeyRow } from '@skiff/model/resource-rows';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import type { SftpUserSpec } from '@skiff/model/sftp-user';
import { PathError, parseVirtualPath, toJail } from '@skiff/model/virtual-path';
import { parseCidr } from '../source-ranges.ts';
import type { ReadPublicKey } from './user-credentials.ts';

type Errors = readonly string[];

/** The keys that can be read, and a sentence for each that cannot. */
export function readKeys(spec: SftpUserSpec, readPublicKey: ReadPublicKey): { readonly keys: readonly AuthorizedKeyRow[]; readonly errors: Errors } {
  const keys: AuthorizedKeyRow[] = [];
  const errors: string[] = [];
  for (const { name, publicKey, expiresAt } of spec.authorizedKeys ?? []) {
    const read = readPublicKey(publicKey);
    if (read.ok) keys.push({ name, blob: read.blob, expiresAt: expiresAt ?? null });
    else errors.push(`authorizedKeys: the key ${JSON.stringify(name)} is left out: ${read.reason}`);
  }
  return { keys, errors };
}

/** Without the ranges that cannot be read: a list that becomes empty by that admits nobody. */
export function readSourceRanges(spec: SftpUserSpec): { readonly ranges: readonly string[] | null; readonly errors: Errors } {
  const given = spec.allowedSourceRanges;
  if (given === undefined) return { ranges: null, errors: [] };
  const wrong = given.filter((range) => parseCidr(range) === undefined);
  return {
    ranges: given.filter((range) => !wrong.includes(range)),
    errors: wrong.map((range) => `allowedSourceRanges: ${range} is left out: it is neither an address nor a range such as 192.0.2.0/24`),
  };
}

export function checkHome(spec: SftpUserSpec, endpoint: SftpEndpoint): Errors {
  return pathErrors('home', () => toJail(endpoint.spec.storage.azureBlob?.prefix ?? '', spec.home ?? spec.username));
}

/** A rule without its path could widen what a shallower one allows, so one wrong path refuses the user. */
export function checkPermissions(spec: SftpUserSpec): Errors {
  return (spec.permissions ?? []).flatMap(({ path }) => pathErrors(`permissions: ${JSON.stringify(path)}`, () => parseVirtualPath(path)));
}

function pathErrors(field: string, read: () => unknown): Errors {
  try {
    read();
    return [];
  } catch (error) {
    if (!(error instanceof PathError)) throw error;
    return [`${field}: ${error.message}`];
  }
}
