import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import { type AccessToken, cacheTokens, createAzureCredential } from './azure-credential.ts';
import { silentLogger } from './logger.ts';

const HOUR_MS = 3_600_000;

function rig(answer: (call: number) => AccessToken | Error | null) {
  const state = { nowMs: 1_000_000, calls: 0 };
  const source = {
    getToken: async () => {
      await Promise.resolve();
      const result = answer(++state.calls);
      if (result instanceof Error) throw result;
      return result;
    },
  };
  return { state, credential: cacheTokens({ source, logger: silentLogger, now: () => state.nowMs }) };
}

const token = (text: string, expiresOnTimestamp: number): AccessToken => ({ token: text, expiresOnTimestamp });
const away = (): Error => Object.assign(new Error('endpoints_resolution_error'), { name: 'CredentialUnavailableError' });
const refused = (code: string): Error => Object.assign(new Error(`invalid_client: ${code}: no`), { name: 'CredentialUnavailableError' });

describe('Azure credential', () => {
  it('fetches one token for all who ask together, and keeps it', async () => {
    const { state, credential } = rig((call) => token(`t${call}`, state.nowMs + HOUR_MS));
    const tokens = await Promise.all([1, 2, 3].map(() => credential.getToken('a')));
    assert.deepEqual(new Set(tokens.map((answer) => answer?.token)), new Set(['t1']));
    assert.equal((await credential.getToken(['a']))?.token, 't1');
    assert.equal(state.calls, 1);
  });

  it('keeps the tokens of two scopes apart', async () => {
    const { state, credential } = rig((call) => token(`t${call}`, state.nowMs + HOUR_MS));
    assert.equal((await credential.getToken('a'))?.token, 't1');
    assert.equal((await credential.getToken('b'))?.token, 't2');
  });

  it('serves the old token while it is replaced in the background, and when that fails', async () => {
    const { state, credential } = rig((call) => (call === 2 ? refused('AADSTS700213') : token(`t${call}`, 1_000_000 + HOUR_MS * call)));
    await credential.getToken('a');
    state.nowMs += HOUR_MS - 4 * 60_000;
    assert.equal((await credential.getToken('a'))?.token, 't1');
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal((await credential.getToken('a'))?.token, 't1');
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal((await credential.getToken('a'))?.token, 't3');
  });

  it('waits for a new token when the old one is about to end', async () => {
    const { state, credential } = rig((call) => token(`t${call}`, 1_000_000 + HOUR_MS * call));
    await credential.getToken('a');
    state.nowMs += HOUR_MS - 1000;
    assert.equal((await credential.getToken('a'))?.token, 't2');
  });

  it('tries again when the token service is away', async () => {
    const failures = [away(), refused('AADSTS90033')];
    const { state, credential } = rig((call) => failures[call - 1] ?? token('t', state.nowMs + HOUR_MS));
    assert.equal((await credential.getToken('a'))?.token, 't');
    assert.equal(state.calls, 3);
  });

  it('does not repeat what configuration has to mend, and says so', async () => {
    const { state, credential } = rig(() => refused('AADSTS700213'));
    await assert.rejects(
      credential.getToken('a'),
      (error) => error instanceof StoreError && error.code === 'denied' && error.vendorCode === 'CredentialUnavailableError',
    );
    assert.equal(state.calls, 1);
  });

  it('ends for a caller whose signal aborts, and not for the others', async () => {
    const gate = Promise.withResolvers<AccessToken>();
    const credential = cacheTokens({ source: { getToken: () => gate.promise }, logger: silentLogger, now: () => 0 });
    const controller = new AbortController();
    const ended = credential.getToken('a', { abortSignal: controller.signal });
    const waiting = credential.getToken('a');
    controller.abort(new Error('enough'));
    await assert.rejects(ended, /enough/);
    gate.resolve(token('t', HOUR_MS));
    assert.equal((await waiting)?.token, 't');
  });

  it('is made without reaching out', () => {
    createAzureCredential({ logger: silentLogger });
    createAzureCredential({ logger: silentLogger, clientId: 'c', tenantId: 't', federatedTokenFile: '/nowhere', authorityHost: 'https://login.example/' });
  });
});
