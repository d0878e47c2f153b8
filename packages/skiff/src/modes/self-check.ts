import { hashPassword, verifyPassword } from '@skiff/credentials/password-hash';
import { Secret } from '@skiff/runtime/secret';
import { selfCheck } from '@skiff/sftp-protocol/self-check';
import { ConfigurationError } from '../configuration/environment.ts';
import { VERSION } from '../version.ts';
import type { ModeContext } from './mode.ts';

const MODES: Readonly<Record<string, () => Promise<unknown>>> = {
  operator: () => import('./operator.ts'),
  standalone: () => import('./standalone.ts'),
  'sftp-server': () => import('./sftp-server.ts'),
  router: () => import('./router.ts'),
};

/**
 * `skiff self-check [MODE]`: loads that mode, or every one, and tries what depends on the machine, so that an image or an installation
 * is known to work before it serves: ssh2's native binding with OpenSSH's default cipher, and argon2id.
 */
export async function runSelfCheck({ args }: Pick<ModeContext, 'args'>): Promise<number> {
  const [only] = args;
  if (only !== undefined && !Object.hasOwn(MODES, only)) throw new ConfigurationError(`there is no mode ${JSON.stringify(only)} to check`);
  const startedAt = performance.now();
  await Promise.all(Object.entries(MODES).map(([name, load]) => (only === undefined || only === name ? load() : undefined)));
  const loadedMs = Math.round(performance.now() - startedAt);
  await selfCheck();
  const password = new Secret('self-check');
  if (!(await verifyPassword(await hashPassword(password), password))) throw new Error('a password does not match its own argon2id hash');
  const loaded = only === undefined ? 'every mode loads' : `${only} loads`;
  process.stdout.write(`skiff ${VERSION}, Node ${process.version}: ${loaded} (${loadedMs} ms), ciphers and password hashes work\n`);
  return 0;
}
