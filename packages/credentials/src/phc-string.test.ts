import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatPhcString, MAX_MEMORY_KIB, MAX_PARALLELISM, MAX_WORK_KIB, PasswordHashError, parsePhcString } from './phc-string.ts';

const salt = Buffer.alloc(16, 1).toString('base64').replace(/=+$/, '');
const hash = Buffer.alloc(32, 2).toString('base64').replace(/=+$/, '');
const bytes = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max }).map((array) => Buffer.from(array));

describe('PHC string', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 64, max: MAX_MEMORY_KIB }),
        fc.integer({ min: 1, max: 8 }),
        bytes(8, 64),
        bytes(16, 64),
        (parallelism, memoryKib, passes, s, h) => {
          const value = { memoryKib, passes, parallelism, salt: s, hash: h };
          assert.deepEqual(parsePhcString(formatPhcString(value)), value);
        },
      ),
    );
  });

  it('accepts nothing that costs more than its bounds, and throws nothing else', () => {
    const number = fc.oneof(fc.integer({ min: 0, max: 2 ** 31 }), fc.nat(200));
    fc.assert(
      fc.property(number, number, number, fc.oneof(fc.constant(salt), fc.base64String()), fc.oneof(fc.constant(hash), fc.base64String()), (m, t, p, s, h) => {
        try {
          const { memoryKib, passes, parallelism, salt: readSalt } = parsePhcString(`$argon2id$v=19$m=${m},t=${t},p=${p}$${s}$${h}`);
          assert.ok(memoryKib <= MAX_MEMORY_KIB && memoryKib * passes <= MAX_WORK_KIB && parallelism <= MAX_PARALLELISM && readSalt.length >= 8);
        } catch (error) {
          assert.ok(error instanceof PasswordHashError, String(error));
        }
      }),
    );
  });

  it('refuses other hashes, plain passwords and damaged text, without repeating them', () => {
    const texts = [
      '',
      'hunter2',
      '$2b$10$abcdefghijklmnopqrstuv',
      '$6$salt$hash',
      `$argon2i$v=19$m=19456,t=2,p=1$${salt}$${hash}`,
      `$argon2id$v=16$m=19456,t=2,p=1$${salt}$${hash}`,
      `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${hash}=`,
      `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${hash.slice(0, -1)}/`,
      `$argon2id$v=19$m=19456,t=2,p=1$AAAA$${hash}`,
      `$argon2id$v=19$m=19456,t=2,p=1$${salt}$AAAA`,
      `$argon2id$v=19$m=4194304,t=2,p=1$${salt}$${hash}`,
      `$argon2id$v=19$m=131072,t=9,p=1$${salt}$${hash}`,
      `$argon2id$v=19$m=19456,t=0,p=1$${salt}$${hash}`,
      `$argon2id$v=19$m=8,t=1,p=2$${salt}$${hash}`,
      `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${hash}\n`,
    ];
    for (const text of texts) {
      assert.throws(
        () => parsePhcString(text),
        (error) => error instanceof PasswordHashError && (text === '' || !error.message.includes(text)),
        text,
      );
    }
  });
});
