import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import type { Secret } from '@skiff/runtime/secret';
import { type Argon2idHash, formatPhcString, PasswordHashError, parsePhcString } from './phc-string.ts';
import { WorkGate } from './work-gate.ts';

/** Second recommendation of OWASP's Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane. 25 ms of one core. */
const DEFAULTS = { memoryKib: 19 * 1024, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** More is no password but an attempt to keep the server busy. In bytes of UTF-8. */
export const MAX_PASSWORD_BYTES = 1024;
/** About 3 seconds of work for two cores; a login waits no longer for its answer. */
const MAX_QUEUED = 256;

const deriveKey = promisify(argon2);

/** A password that cannot be set. */
export class PasswordError extends Error {
  readonly code: 'PasswordEmpty' | 'PasswordTooLong';
  constructor(code: PasswordError['code'], message: string) {
    super(message);
    this.name = 'PasswordError';
    this.code = code;
  }
}

// One gate per process, because what it guards, the cores and their memory, is the process's. Made on first use.
let processGate: WorkGate | undefined;

function gate(): WorkGate {
  processGate ??= new WorkGate({ concurrency: availableParallelism(), maxQueued: MAX_QUEUED });
  return processGate;
}

/** Makes an argon2id hash in PHC form, for a Secret. @throws {PasswordError} for an empty one or one over {@link MAX_PASSWORD_BYTES}. */
export async function hashPassword(password: Secret<string>): Promise<string> {
  const message = Buffer.from(password.reveal());
  if (message.length === 0) throw new PasswordError('PasswordEmpty', 'the password is empty');
  if (message.length > MAX_PASSWORD_BYTES) throw new PasswordError('PasswordTooLong', `the password is longer than ${MAX_PASSWORD_BYTES} bytes`);
  const salt = randomBytes(SALT_BYTES);
  return formatPhcString({ ...DEFAULTS, salt, hash: await derive(message, { ...DEFAULTS, salt, hash: Buffer.alloc(HASH_BYTES) }) });
}

/**
 * Checks a password against a hash in PHC form. `null`, for an unknown user or one without a password, works as long and says no.
 * Runs off the event loop, one per core at a time.
 *
 * @throws {PasswordHashError} for a damaged hash: hashes are checked before they get into a row.
 * @throws {WorkGateFullError} when too many are waiting.
 */
export async function verifyPassword(hash: string | null, password: Secret<string>): Promise<boolean> {
  const message = Buffer.from(password.reveal());
  const tooLong = message.length > MAX_PASSWORD_BYTES;
  const expected = hash === null ? { ...DEFAULTS, salt: Buffer.alloc(SALT_BYTES), hash: Buffer.alloc(HASH_BYTES) } : parsePhcString(hash);
  const actual = await derive(tooLong ? Buffer.alloc(0) : message, expected);
  return timingSafeEqual(actual, expected.hash) && hash !== null && !tooLong;
}

/** What is wrong with a hash, without its text; undefined: nothing. */
export function passwordHashProblem(hash: string): string | undefined {
  try {
    parsePhcString(hash);
    return undefined;
  } catch (error) {
    if (!(error instanceof PasswordHashError)) throw error;
    return error.message;
  }
}

async function derive(message: Buffer, { memoryKib, passes, parallelism, salt, hash }: Argon2idHash): Promise<Buffer> {
  const parameters = { message, nonce: salt, parallelism, tagLength: hash.length, memory: memoryKib, passes };
  return await gate().run(() => deriveKey('argon2id', parameters));
}
