/** An argon2id hash in PHC string form: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, base64 without padding. */
export interface Argon2idHash {
  readonly memoryKib: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** A text that is no password hash this program verifies. The message never contains the text: it might be a password. */
export class PasswordHashError extends Error {
  readonly code = 'InvalidPasswordHash';
  constructor(message: string) {
    super(message);
    this.name = 'PasswordHashError';
  }
}

// Whoever may write a Secret chooses these numbers; what they cost is paid by the servers, by one hash per core at a time.
export const MAX_MEMORY_KIB = 128 * 1024;
/** Memory times passes: about one second of one core. */
export const MAX_WORK_KIB = 1024 * 1024;
export const MAX_PARALLELISM = 8;
const SALT_BYTES = { min: 8, max: 64 };
const HASH_BYTES = { min: 16, max: 64 };
const MAX_LENGTH = 256;

const PATTERN = /^\$argon2id\$v=([0-9]{1,3})\$m=([0-9]{1,10}),t=([0-9]{1,10}),p=([0-9]{1,10})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** @throws {PasswordHashError} that says what is wrong and what is accepted. */
export function parsePhcString(text: string): Argon2idHash {
  const other = /^\$(argon2[id]?|2[aby]|[156y])\$/.exec(text)?.[1];
  if (other !== undefined) throw new PasswordHashError(`hashes of the kind ${other} are not supported, only argon2id`);
  const match = text.length <= MAX_LENGTH ? PATTERN.exec(text) : null;
  if (match === null) throw new PasswordHashError('it does not have the form $argon2id$v=19$m=…,t=…,p=…$salt$hash');
  const [version = 0, memoryKib = 0, passes = 0, parallelism = 0] = match.slice(1, 5).map(Number);
  if (version !== 19) throw new PasswordHashError(`version ${version} of argon2 is not supported, only 19`);
  if (parallelism < 1 || parallelism > MAX_PARALLELISM) throw new PasswordHashError(`p must be 1 to ${MAX_PARALLELISM}`);
  if (memoryKib < 8 * parallelism || memoryKib > MAX_MEMORY_KIB) throw new PasswordHashError(`m must be ${8 * parallelism} to ${MAX_MEMORY_KIB} KiB`);
  if (passes < 1 || memoryKib * passes > MAX_WORK_KIB) throw new PasswordHashError(`t must be at least 1, and m × t at most ${MAX_WORK_KIB}`);
  return { memoryKib, passes, parallelism, salt: decode('salt', match[5], SALT_BYTES), hash: decode('hash', match[6], HASH_BYTES) };
}

export function formatPhcString({ memoryKib, passes, parallelism, salt, hash }: Argon2idHash): string {
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${parallelism}$${encode(salt)}$${encode(hash)}`;
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

function decode(part: string, text = '', bounds: { readonly min: number; readonly max: number }): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (encode(bytes) !== text) throw new PasswordHashError(`the ${part} is not base64`);
  if (bytes.length < bounds.min || bytes.length > bounds.max) throw new PasswordHashError(`the ${part} must have ${bounds.min} to ${bounds.max} bytes`);
  return bytes;
}
