import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ManagedIdentityCredential, WorkloadIdentityCredential } from '@azure/identity';
import { BlobServiceClient } from '@azure/storage-blob';
import { decodeJwt } from 'jose';
import { type Azure, startAzure } from './azure.ts';
import { trustAuthority } from './certificates.ts';
import { createFederatedTokenIssuer } from './token-service/federated-token.ts';

describe('workload identity against the token service', () => {
  let dir: string;
  let azure: Azure;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'skiff-azure-'));
    azure = await startAzure({ dir, containers: ['files'] });
    trustAuthority(azure.certificates);
    Object.assign(process.env, azure.env);
  });
  after(async () => {
    await azure.stop();
    await rm(dir, { recursive: true });
  });

  function credentialFor(tokenFilePath: string): WorkloadIdentityCredential {
    return new WorkloadIdentityCredential({
      tenantId: azure.identity.tenantId,
      clientId: azure.identity.clientId,
      authorityHost: azure.identity.authorityHost,
      tokenFilePath,
      disableInstanceDiscovery: true,
    });
  }

  test('an unmodified WorkloadIdentityCredential writes and reads a blob over TLS', async () => {
    const service = new BlobServiceClient(azure.blobEndpoint, credentialFor(azure.identity.tokenFile), { retryOptions: { maxTries: 1 } });
    const blob = service.getContainerClient('files').getBlockBlobClient('in/a.txt');
    await blob.upload('hello', 5);
    assert.equal((await blob.downloadToBuffer()).toString(), 'hello');
  });

  test('an unmodified ManagedIdentityCredential gets a token for the resource it asks for', async () => {
    const token = await new ManagedIdentityCredential({ clientId: azure.identity.clientId }).getToken('https://servicebus.azure.net/.default');
    const { aud, iss, oid } = decodeJwt(token.token);
    assert.deepEqual([aud, String(iss).startsWith('https://sts.windows.net/'), typeof oid], ['https://servicebus.azure.net', true, 'string']);
  });

  const refusals = [
    { name: 'the subject is not federated', props: { subject: 'system:serviceaccount:other:pod' } },
    { name: 'the audience is another', props: { subject: 'system:serviceaccount:skiff:skiff', audience: 'https://kubernetes.default.svc' } },
    { name: 'it has expired', props: { subject: 'system:serviceaccount:skiff:skiff', lifetimeSeconds: -1 } },
  ];
  for (const { name, props } of refusals) {
    test(`refuses a federated token when ${name}`, async () => {
      const file = join(dir, 'bad-token');
      await azure.federation.write(file, props);
      await assert.rejects(credentialFor(file).getToken('https://storage.azure.com/.default'), /AADSTS700213/);
    });
  }

  test('refuses a federated token that another issuer has signed', async () => {
    const file = join(dir, 'forged-token');
    await (await createFederatedTokenIssuer()).write(file, { subject: 'system:serviceaccount:skiff:skiff' });
    await assert.rejects(credentialFor(file).getToken('https://storage.azure.com/.default'), /AADSTS700213/);
  });

  test('answers on the same port after a kill and a restart', async () => {
    await azure.tokenService.kill();
    await assert.rejects(fetch(azure.tokenService.url), TypeError);
    await azure.tokenService.restart();
    const token = await credentialFor(azure.identity.tokenFile).getToken('https://storage.azure.com/.default');
    assert.equal(decodeJwt(token.token).aud, 'https://storage.azure.com');
  });
});
