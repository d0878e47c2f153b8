import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OPENSSL_TIMEOUT_MS = 20_000;
const VALID_DAYS = '3650';

export interface Certificates {
  /** PEM file of the private authority: for `NODE_EXTRA_CA_CERTS`, or `trustAuthority` in this process. */
  readonly caFile: string;
  readonly keyFile: string;
  readonly certFile: string;
  readonly ca: string;
  readonly key: string;
  readonly cert: string;
}

/**
 * A private authority and one server certificate for `localhost`, `127.0.0.1`, `::1` and the given further names (DNS names or
 * addresses), as PEM files in `dir`. Needs `openssl` on the path. Files that are there already are reused when they cover the names.
 */
export async function makeCertificates(dir: string, furtherNames: readonly string[] = []): Promise<Certificates> {
  await mkdir(dir, { recursive: true });
  const at = (name: string): string => join(dir, name);
  const names = subjectAltNames(['localhost', '127.0.0.1', '::1', ...furtherNames]);
  const known = await readFile(at('names.txt'), 'utf8').catch(() => undefined);
  if (known !== names) {
    await makeAuthority(at);
    await makeServerCertificate(at, names);
    await writeFile(at('names.txt'), names);
  }
  const [ca, key, cert] = await Promise.all([readFile(at('ca.pem'), 'utf8'), readFile(at('server.key'), 'utf8'), readFile(at('server.pem'), 'utf8')]);
  return { caFile: at('ca.pem'), keyFile: at('server.key'), certFile: at('server.pem'), ca, key, cert };
}

/** Makes TLS clients of this process trust the authority; children get `NODE_EXTRA_CA_CERTS` in place of it. */
export function trustAuthority(certificates: Pick<Certificates, 'ca'>): void {
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), certificates.ca]);
}

function subjectAltNames(names: readonly string[]): string {
  return names.map((name) => (isIP(name) === 0 ? `DNS:${name}` : `IP:${name}`)).join(',');
}

async function makeAuthority(at: (name: string) => string): Promise<void> {
  const subject = ['-subj', '/CN=Skiff emulator authority', '-days', VALID_DAYS];
  const extensions = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  await openssl(['req', '-x509', ...newKey(at('ca.key')), '-out', at('ca.pem'), ...subject, ...extensions]);
}

async function makeServerCertificate(at: (name: string) => string, names: string): Promise<void> {
  await openssl(['req', '-new', ...newKey(at('server.key')), '-out', at('server.csr'), '-subj', '/CN=localhost']);
  await writeFile(at('server.ext'), `subjectAltName=${names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n`);
  const signer = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', VALID_DAYS];
  await openssl(['x509', '-req', '-in', at('server.csr'), ...signer, '-extfile', at('server.ext'), '-out', at('server.pem')]);
}

function newKey(file: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file];
}

async function openssl(args: readonly string[]): Promise<void> {
  await run('openssl', [...args], { timeout: OPENSSL_TIMEOUT_MS });
}
