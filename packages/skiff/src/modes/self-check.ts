import { hashPassword, verifyPassword } from '@skiff/credentials/password-hash';
import { Secret } from '@skiff/runtime/secret';
import { selfCheck } from '@skiff/sftp-protocol/self-check';
import { VERSION } from '../version.ts';

/**
 * `skiff self-check`: loads every mode and tries what depends on the machine, so that an image or an installation is known to work
 * before it serves: ssh2's native binding with OpenSSH's default cipher, and argon2id.
 */
export async function runSelfCheck(): Promise<number> {
  const startedAt = performance.now();
  await Promise.all([import('./operator.ts'), import('./standalone.ts'), import('./sftp-server.ts'), import('./router.ts')]);
  const loadedMs = Math.round(performance.now() - startedAt);
  await selfCheck();
  const password = new Secret('self-check');
  if (!(await verifyPassword(await hashPassword(password), password))) throw new Error('a password does not match its own argon2id hash');
  process.stdout.write(`skiff ${VERSION}, Node ${process.version}: every mode loads (${loadedMs} ms), ciphers and password hashes work\n`);
  return 0;
}
