import type { Brand } from './brand.ts';

/**
 * An absolute, normalised path as the SFTP client sees it: `/` or `/a/b`, without empty, `.` or `..` segments.
 * Minted by {@link parseVirtualPath} alone, once per request, so that no two normalisers can disagree (CVE-2026-30914).
 */
export type VirtualPath = Brand<string, 'VirtualPath'>;

/** The name of a blob inside its container, without a leading slash. Only {@link toBlobName} mints it. */
export type BlobName = Brand<string, 'BlobName'>;

export const ROOT_PATH = '/' as VirtualPath;

/** Azure caps a blob name at 1,024 characters (Naming and Referencing Containers, Blobs, and Metadata). */
export const MAX_BLOB_NAME_LENGTH = 1024;
/** POSIX `NAME_MAX` and `PATH_MAX`, in bytes of UTF-8. */
export const MAX_SEGMENT_BYTES = 255;
export const MAX_PATH_BYTES = 4096;
/** Azure allows 254 segments in a blob name; the prefix and the home need some of them. */
export const MAX_SEGMENTS = 200;

export type PathErrorReason = 'InvalidUtf8' | 'ForbiddenCharacter' | 'TooLong' | 'TooDeep' | 'ForbiddenName';

/** A path that no file of this system can have. Reported to the client as `SSH_FX_BAD_MESSAGE` or `SSH_FX_NO_SUCH_FILE`. */
export class PathError extends Error {
  readonly code: PathErrorReason;
  constructor(code: PathErrorReason, message: string) {
    super(message);
    this.name = 'PathError';
    this.code = code;
  }
}

// C0 and C1 controls and DEL break listings and logs; Azure maps a backslash to a slash, so two names would be one blob.
const FORBIDDEN_CHARACTER = /[\u0000-\u001f\u007f-\u009f\\\ufffe\uffff]/u;

/**
 * Reads a client's path. Relative paths start at `/`; `.` and `..` are resolved, and `..` at the root stays there, as in
 * a chroot. A name is kept byte for byte otherwise: no case folding, no Unicode normalisation.
 *
 * @throws {PathError} for bytes that are not UTF-8, control characters, a backslash, a name ending in a dot or a space-only
 * name that the store would fold, and anything over the limits above.
 */
export function parseVirtualPath(raw: string | Uint8Array): VirtualPath {
  const text = typeof raw === 'string' ? raw : decodeUtf8(raw);
  if (Buffer.byteLength(text) > MAX_PATH_BYTES) throw new PathError('TooLong', `path is longer than ${MAX_PATH_BYTES} bytes`);
  if (!text.isWellFormed()) throw new PathError('InvalidUtf8', 'path is not valid Unicode');
  if (FORBIDDEN_CHARACTER.test(text)) throw new PathError('ForbiddenCharacter', 'path contains a control character or a backslash');
  const segments: string[] = [];
  for (const segment of text.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') {
      segments.pop();
      continue;
    }
    checkSegment(segment);
    segments.push(segment);
  }
  if (segments.length > MAX_SEGMENTS) throw new PathError('TooDeep', `path has more than ${MAX_SEGMENTS} levels`);
  return `/${segments.join('/')}` as VirtualPath;
}

function checkSegment(segment: string): void {
  if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) throw new PathError('TooLong', `name is longer than ${MAX_SEGMENT_BYTES} bytes`);
  // Azure strips trailing dots of a segment: `a.` and `a` would be one blob. Seen on Azurite as well.
  if (segment.endsWith('.')) throw new PathError('ForbiddenName', 'a name must not end with a dot');
}

function decodeUtf8(raw: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch (cause) {
    throw Object.assign(new PathError('InvalidUtf8', 'path is not valid UTF-8'), { cause });
  }
}

/** The last segment; `/` for the root. */
export function baseName(path: VirtualPath): string {
  return path === ROOT_PATH ? '/' : path.slice(path.lastIndexOf('/') + 1);
}

/** The parent; the root is its own parent. */
export function parentPath(path: VirtualPath): VirtualPath {
  const cut = path.lastIndexOf('/');
  return cut <= 0 ? ROOT_PATH : (path.slice(0, cut) as VirtualPath);
}

/** Joins a listed name to its directory. @throws {PathError} when the name is not a single legal segment. */
export function childPath(directory: VirtualPath, name: string): VirtualPath {
  const path = parseVirtualPath(`${directory}/${name}`);
  if (parentPath(path) !== directory || baseName(path) !== name) throw new PathError('ForbiddenName', 'not a single path segment');
  return path;
}

/** True when `path` is `ancestor` or lies below it. Compares with the delimiter, so `/ann` does not contain `/anna`. */
export function isWithin(path: VirtualPath, ancestor: VirtualPath): boolean {
  return ancestor === ROOT_PATH || path === ancestor || path.startsWith(`${ancestor}/`);
}

/** Where a user's tree lives in the container: segments of the endpoint's prefix and the user's home, without slashes at the ends. */
export type Jail = Brand<string, 'Jail'>;

/** Joins the endpoint's prefix and the user's home. @throws {PathError} when either climbs or is illegal. */
export function toJail(storagePrefix: string, home: string): Jail {
  const parts = [storagePrefix, home].map((part) => parseVirtualPath(part).slice(1)).filter((part) => part !== '');
  if (/(^|\/)\.\.(\/|$)/.test(`${storagePrefix}/${home}`)) throw new PathError('ForbiddenName', 'a home must not contain ".."');
  return parts.join('/') as Jail;
}

/** The one mapping from what a client sees to what the store holds. @throws {PathError} when the name is too long for a blob. */
export function toBlobName(jail: Jail, path: VirtualPath): BlobName {
  const name = [jail, path.slice(1)].filter((part) => part !== '').join('/');
  if (name.length > MAX_BLOB_NAME_LENGTH) throw new PathError('TooLong', `blob name is longer than ${MAX_BLOB_NAME_LENGTH} characters`);
  return name as BlobName;
}
