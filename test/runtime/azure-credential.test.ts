import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { StoreError } from '@skiff/model/store-error';
import { createAzureCredential, type TokenCredential } from '@skiff/runtime/azure-credential';
import { silentLogger } from '@skiff/runtime/logger';
import { decodeJwt } from 'jose';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { trustAuthority } from '../emulators/certificates.ts';

const STORAGE = 'https://storage.azure.com/.default';
const SERVICE_BUS = 'https://servicebus.azure.net/.default';

describe('the Azure credential against the token service', () => {
  let dir: string;
  let azure: Azure;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'skiff-credential-'));
    azure = await startAzure({ dir });
    trustAuthority(azure.certificates);
  });
  after(async () => {
    await azure.stop();
    await rm(dir, { recursive: true });
  });

  function credential(federatedTokenFile = azure.identity.tokenFile): TokenCredential {
    const { clientId, tenantId, authorityHost } = azure.identity;
    return createAzureCredential({ logger: silentLogger, clientId, tenantId, authorityHost, federatedTokenFile });
  }

  async function audience(from: TokenCredential, scope: string): Promise<unknown> {
    return decodeJwt((await from.getToken(scope))?.token ?? '').aud;
  }

  it('gets tokens by workload identity, one per scope, and keeps them while the service is away', async () => {
    const workload = credential();
    assert.equal(await audience(workload, STORAGE), 'https://storage.azure.com');
    assert.equal(await audience(workload, SERVICE_BUS), 'https://servicebus.azure.net');
    await azure.tokenService.kill();
    try {
      assert.equal(await audience(workload, STORAGE), 'https://storage.azure.com');
      await assert.rejects(credential().getToken(STORAGE), (error) => error instanceof StoreError && error.code === 'unavailable');
    } finally {
      await azure.tokenService.restart();
    }
  });

  it('comes through while the service restarts', async () => {
    await azure.tokenService.kill();
    const waiting = credential().getToken(STORAGE);
    await azure.tokenService.restart();
    assert.ok((await waiting)?.token);
  });

  it('is denied at once when the federation does not match', async () => {
    const tokenFile = join(dir, 'other-token');
    await azure.federation.write(tokenFile, { subject: 'system:serviceaccount:other:pod' });
    const startedAt = performance.now();
    await assert.rejects(
      credential(tokenFile).getToken(STORAGE),
      (error) => error instanceof StoreError && error.code === 'denied' && /AADSTS700213/.test(error.message),
    );
    assert.ok(performance.now() - startedAt < 2000);
  });
});
