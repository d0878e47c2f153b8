import { hashPassword } from '@skiff/credentials/password-hash';
import { Secret } from '@skiff/runtime/secret';
import { ConfigurationError } from '../configuration/environment.ts';

const MAX_PASSWORD_BYTES = 1024;

/** `skiff hash-password`: for the Secret that `spec.password.hashSecretRef` names. The password never stands in an argument. */
export async function runHashPassword(): Promise<number> {
  if (process.stdin.isTTY) process.stderr.write('Password, then Enter and Ctrl-D: ');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const part = Buffer.from(chunk);
    chunks.push(part);
    bytes += part.length;
    if (bytes > MAX_PASSWORD_BYTES + 1) throw new ConfigurationError(`a password has at most ${MAX_PASSWORD_BYTES} bytes`);
  }
  const password = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (password === '') throw new ConfigurationError('no password on standard input');
  process.stdout.write(`${await hashPassword(new Secret(password))}\n`);
  return 0;
}
