import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decideLogin, type EndpointFacts, type LoginAttempt, type LoginDenialReason, type UserFacts } from './login-decision.ts';

const now = new Date('2026-06-01T12:00:00Z');
const PAST = '2026-06-01T12:00:00Z';
const FUTURE = '2026-06-01T14:00:01+02:00';

const user: UserFacts = {
  suspended: false,
  expiresAt: null,
  authorizedKeys: [{ name: 'laptop', blob: 'AAAA1', expiresAt: null }],
  passwordHash: '$argon2id$1',
  allowedSourceRanges: null,
};
const endpoint: EndpointFacts = { authenticationMethods: ['PublicKey', 'Password'], allowedSourceRanges: null };
const byKey: LoginAttempt = { method: 'PublicKey', keyBlob: 'AAAA1', remoteAddress: '192.0.2.1', now };
const byPassword: LoginAttempt = { method: 'Password', verifiedHash: '$argon2id$1', remoteAddress: '192.0.2.1', now };

function reasonOf(...args: Parameters<typeof decideLogin>): LoginDenialReason | 'allowed' {
  const decision = decideLogin(...args);
  return decision.allowed ? 'allowed' : decision.reason;
}

describe('login decision', () => {
  it('allows the right key and the right password, and names the credential', () => {
    assert.deepEqual(decideLogin(user, byKey, endpoint), { allowed: true, credentialName: 'laptop', validUntil: null });
    assert.deepEqual(decideLogin(user, byPassword, endpoint), { allowed: true, credentialName: 'password', validUntil: null });
  });

  const denials: readonly [LoginDenialReason, UserFacts | undefined, LoginAttempt, EndpointFacts][] = [
    ['UnknownUser', undefined, byKey, endpoint],
    ['Suspended', { ...user, suspended: true }, byKey, endpoint],
    ['Expired', { ...user, expiresAt: PAST }, byPassword, endpoint],
    ['Expired', { ...user, expiresAt: 'damaged' }, byPassword, endpoint],
    ['AddressNotAllowed', { ...user, allowedSourceRanges: ['192.0.2.2'] }, byKey, endpoint],
    ['AddressNotAllowed', { ...user, allowedSourceRanges: [] }, byKey, { ...endpoint, allowedSourceRanges: ['0.0.0.0/0'] }],
    ['AddressNotAllowed', user, byKey, { ...endpoint, allowedSourceRanges: [] }],
    ['MethodNotOffered', user, byPassword, { ...endpoint, authenticationMethods: ['PublicKey'] }],
    ['KeyUnknown', user, { ...byKey, keyBlob: 'AAAA2' }, endpoint],
    ['KeyUnknown', { ...user, authorizedKeys: [] }, byKey, endpoint],
    ['KeyExpired', { ...user, authorizedKeys: [{ name: 'old', blob: 'AAAA1', expiresAt: PAST }] }, byKey, endpoint],
    ['PasswordMissing', { ...user, passwordHash: null }, { ...byPassword, verifiedHash: null }, endpoint],
    ['PasswordWrong', user, { ...byPassword, verifiedHash: null }, endpoint],
  ];
  for (const [reason, facts, attempt, at] of denials) {
    it(`denies with ${reason}: ${JSON.stringify(facts)?.slice(0, 60)} by ${attempt.method}`, () => {
      assert.equal(reasonOf(facts, attempt, at), reason);
    });
  }

  it('ends a session whose password was changed, though it was right when it came', () => {
    assert.equal(reasonOf({ ...user, passwordHash: '$argon2id$2' }, byPassword, endpoint), 'PasswordWrong');
  });

  describe('behind a firewall that rewrites addresses', () => {
    const behind: EndpointFacts = { ...endpoint, clientAddress: 'Rewritten', allowedSourceRanges: ['10.40.17.0/26'] };
    const through: LoginAttempt = { ...byKey, remoteAddress: '10.40.17.4' };

    it('takes logins from the firewall only, whatever ranges a user has', () => {
      for (const allowedSourceRanges of [null, ['203.0.113.7'], ['192.0.2.1']]) {
        assert.equal(reasonOf({ ...user, allowedSourceRanges }, through, behind), 'allowed');
        assert.equal(reasonOf({ ...user, allowedSourceRanges }, byKey, behind), 'AddressNotAllowed');
      }
    });

    it('still refuses a user with an empty list, and everybody while nobody says who the firewall is', () => {
      assert.equal(reasonOf({ ...user, allowedSourceRanges: [] }, through, behind), 'AddressNotAllowed');
      assert.equal(reasonOf(user, through, { ...behind, allowedSourceRanges: null }), 'AddressNotAllowed');
    });
  });

  it("prefers the user's ranges to the endpoint's", () => {
    assert.equal(reasonOf({ ...user, allowedSourceRanges: ['192.0.2.0/24'] }, byKey, { ...endpoint, allowedSourceRanges: [] }), 'allowed');
  });

  it('says when the session must end: at the first expiry of user and key', () => {
    const decision = decideLogin(
      { ...user, expiresAt: '2026-06-01T13:00:00Z', authorizedKeys: [{ name: 'k', blob: 'AAAA1', expiresAt: FUTURE }] },
      byKey,
      endpoint,
    );
    assert.deepEqual(decision, { allowed: true, credentialName: 'k', validUntil: new Date('2026-06-01T12:00:01Z') });
  });

  it('counts the entry that holds longest when one key is listed twice', () => {
    const authorizedKeys = [
      { name: 'old', blob: 'AAAA1', expiresAt: PAST },
      { name: 'new', blob: 'AAAA1', expiresAt: null },
    ];
    assert.deepEqual(decideLogin({ ...user, authorizedKeys }, byKey, endpoint), { allowed: true, credentialName: 'new', validUntil: null });
  });

  it('never allows a suspended or expired user, whatever else holds', () => {
    fc.assert(
      fc.property(fc.constantFrom(byKey, byPassword), fc.constantFrom(null, PAST), fc.option(fc.constant(['0.0.0.0/0'])), (attempt, expiresAt, ranges) => {
        const facts = { ...user, suspended: expiresAt === null, expiresAt, allowedSourceRanges: ranges };
        return !decideLogin(facts, attempt, endpoint).allowed;
      }),
    );
  });
});
