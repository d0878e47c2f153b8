import { hashPassword } from '@skiff/credentials/password-hash';
import { readPublicKey } from '@skiff/credentials/ssh-public-key';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { UserRow } from '@skiff/model/resource-rows';
import { Secret } from '@skiff/runtime/secret';
import type { Login, OpenSshClient } from './openssh-client.ts';

const PASSWORD = 'correct horse battery staple';

/** The endpoint `default/test`. */
export function testEndpoint(rest: Pick<EndpointSettings, 'storage' | 'events'> & Partial<EndpointSettings>): EndpointSettings {
  return {
    namespace: 'default',
    name: 'test',
    port: 2222,
    authenticationMethods: ['PublicKey', 'Password'],
    allowedSourceRanges: null,
    maxSessions: 1000,
    ...rest,
  };
}

export interface TestUser {
  readonly row: UserRow;
  loginsTo(port: number): { readonly byKey: Login; readonly byPassword: Login };
}

/** The user `ann`, who may do everything and logs in with a new key of the client or with a password. */
export async function makeAnn(client: OpenSshClient): Promise<TestUser> {
  const { keyFile, publicKey } = await client.generateKey('id_ann');
  const parsed = readPublicKey(publicKey);
  if (!parsed.ok) throw new Error(parsed.reason);
  const row: UserRow = {
    username: 'ann',
    namespace: 'default',
    name: 'ann',
    uid: 'uid-ann',
    suspended: false,
    expiresAt: null,
    authorizedKeys: [{ name: 'laptop', blob: parsed.blob, expiresAt: null }],
    passwordHash: await hashPassword(new Secret(PASSWORD)),
    allowedSourceRanges: null,
    home: 'ann',
    permissions: null,
  };
  return {
    row,
    loginsTo(port) {
      const login = { host: '127.0.0.1', port, username: 'ann' };
      return { byKey: { ...login, credential: { keyFile } }, byPassword: { ...login, credential: { password: PASSWORD } } };
    },
  };
}
