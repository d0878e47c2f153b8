import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Secret } from '@skiff/runtime/secret';
import { hashPassword, MAX_PASSWORD_BYTES, PasswordError, passwordHashProblem, verifyPassword } from './password-hash.ts';
import { PasswordHashError } from './phc-string.ts';

describe('password hash', () => {
  it('verifies the password it was made of and no other', async () => {
    const hash = await hashPassword(new Secret('pässwörd ☃'));
    assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    assert.equal(passwordHashProblem(hash), undefined);
    assert.equal(await verifyPassword(hash, new Secret('pässwörd ☃')), true);
    for (const wrong of ['', 'pässwörd', 'pässwörd ☃ ', 'Pässwörd ☃']) assert.equal(await verifyPassword(hash, new Secret(wrong)), false, wrong);
  });

  it('salts: the same password never gives the same hash', async () => {
    assert.notEqual(await hashPassword(new Secret('x')), await hashPassword(new Secret('x')));
  });

  it('verifies a hash made by the reference implementation', async () => {
    // From src/test.c of phc-winner-argon2: hashtest(version, 2, 16, 1, "password", "somesalt", …, Argon2_id).
    const hash = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    assert.equal(await verifyPassword(hash, new Secret('password')), true);
    assert.equal(await verifyPassword(hash, new Secret('Password')), false);
  });

  it('says no to everybody where there is no hash, and works as long', async () => {
    const hash = await hashPassword(new Secret('x'));
    const timed = async (target: string | null): Promise<number> => {
      const startedAt = performance.now();
      assert.equal(await verifyPassword(target, new Secret('')), false);
      return performance.now() - startedAt;
    };
    const [known, unknown] = [await timed(hash), await timed(null)];
    assert.ok(unknown > known / 4, `${unknown} ms for an unknown user, ${known} ms for a known one`);
  });

  it('refuses to make, and never verifies, a password over its bound', async () => {
    const longest = 'x'.repeat(MAX_PASSWORD_BYTES);
    const hash = await hashPassword(new Secret(longest));
    assert.equal(await verifyPassword(hash, new Secret(longest)), true);
    assert.equal(await verifyPassword(hash, new Secret(`${longest}x`)), false);
    await assert.rejects(hashPassword(new Secret(`${longest}x`)), (error) => error instanceof PasswordError && error.code === 'PasswordTooLong');
    await assert.rejects(hashPassword(new Secret('ä'.repeat(600))), (error) => error instanceof PasswordError && error.code === 'PasswordTooLong');
    await assert.rejects(hashPassword(new Secret('')), (error) => error instanceof PasswordError && error.code === 'PasswordEmpty');
  });

  it('rejects for a damaged hash instead of saying no', async () => {
    await assert.rejects(verifyPassword('$argon2id$', new Secret('x')), PasswordHashError);
  });

  it('leaves the event loop free', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await Promise.all(Array.from({ length: 4 }, () => verifyPassword(null, new Secret('x'))));
    clearInterval(timer);
    assert.ok(ticks >= 3, `${ticks} ticks`);
  });
});
