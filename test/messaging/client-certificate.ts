import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A client's certificate by the authority that `makeCertificates` has made in `dir`. Needs `openssl` on the path. */
export async function makeClientCertificate(dir: string, commonName: string): Promise<{ readonly cert: string; readonly key: string }> {
  const at = (name: string): string => join(dir, name);
  const openssl = (...args: readonly string[]) => run('openssl', [...args], { timeout: 20_000 });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', at('client.key')];
  await openssl('req', '-new', ...newKey, '-out', at('client.csr'), '-subj', `/CN=${commonName}`);
  await writeFile(at('client.ext'), 'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n');
  const signer = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '30'];
  await openssl('x509', '-req', '-in', at('client.csr'), ...signer, '-extfile', at('client.ext'), '-out', at('client.pem'));
  const [cert, key] = await Promise.all([readFile(at('client.pem'), 'utf8'), readFile(at('client.key'), 'utf8')]);
  return { cert, key };
}
