import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashPassword } from '@skiff/credentials/password-hash';
import { Secret } from '@skiff/runtime/secret';
import { parseAllDocuments, stringify } from 'yaml';
import { type Azure, startAzure } from '../emulators/azure.ts';
import { freePort } from '../support/free-port.ts';
import { type HttpInbox, startHttpInbox } from '../support/http-inbox.ts';
import { OpenSshClient } from '../support/openssh-client.ts';
import { type LogLine, SkiffProcess } from '../support/skiff-process.ts';

const QUICKSTART = join(import.meta.dirname, '../../deploy/quickstart');

export interface Demo {
  readonly port: number;
  readonly azure: Azure;
  readonly inbox: HttpInbox;
  readonly client: OpenSshClient;
  readonly skiff: SkiffProcess;
  readonly manifests: string;
  readonly keyFile: string;
  readonly password: string;
  readonly container: string;
  stop(): Promise<void>;
}

/** Starts everything: emulated Azure, the application, and Skiff on a copy of the quickstart with the addresses of this machine. */
export async function startDemo(dir: string, signal: AbortSignal): Promise<Demo> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const quickstart = await readQuickstart();
    const { container, queue } = quickstart;
    step('Starting Azure on this machine: Azurite, token service, Service Bus emulator');
    const azure = await startAzure({ dir: join(dir, 'azure'), containers: [container], queues: [queue], onProgress: (line) => detail(line) });
    stops.push(() => azure.stop());
    signal.throwIfAborted();
    const inbox = await startHttpInbox();
    stops.push(() => inbox.close());
    detail(`application listening at ${inbox.url}`);
    const client = new OpenSshClient(join(dir, 'client'));
    const { keyFile, publicKey } = await client.generateKey('id_alice');
    const password = randomBytes(9).toString('base64url');
    const port = await freePort();
    const manifests = join(dir, 'manifests');
    await quickstart.write(manifests, { azure, port, inboxUrl: `${inbox.url}/files`, publicKey, passwordHash: await hashPassword(new Secret(password)) });
    step('Starting skiff standalone (with a private MariaDB)');
    const skiff = new SkiffProcess({
      args: ['standalone', '--manifests', manifests, '--state', join(dir, 'state')],
      env: { ...azure.env, SKIFF_LISTEN_HOST: '127.0.0.1', SKIFF_ALLOWED_TARGET_RANGES: '127.0.0.0/8', SKIFF_DRAIN_GRACE_SECONDS: '2' },
      onLine: (line) => narrate(line),
    });
    stops.push(() => skiff.stop());
    await skiff.waitFor('listening SFTP server', (line) => line.msg === 'SFTP server listening', 45_000);
    return { port, azure, inbox, client, skiff, manifests, keyFile, password, container, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Addresses {
  readonly azure: Azure;
  readonly port: number;
  readonly inboxUrl: string;
  readonly publicKey: string;
  readonly passwordHash: string;
}

/** The manifests as they are checked in; written out again with nothing changed but addresses and credentials. */
async function readQuickstart() {
  const files = (await readdir(QUICKSTART)).filter((name) => name.endsWith('.yaml'));
  const documents = await Promise.all(files.map(async (name) => ({ name, documents: parseAllDocuments(await readFile(join(QUICKSTART, name), 'utf8')) })));
  const all = documents.flatMap((file) => file.documents);
  const find = (kind: string, name?: string) => {
    const found = all.find((document) => document.get('kind') === kind && (name === undefined || document.getIn(['metadata', 'name']) === name));
    if (found === undefined) throw new Error(`deploy/quickstart has no ${kind} ${name ?? ''}`);
    return found;
  };
  const endpoint = find('SftpEndpoint');
  return {
    container: String(endpoint.getIn(['spec', 'storage', 'azureBlob', 'container'])),
    queue: String(endpoint.getIn(['spec', 'events', 'serviceBus', 'queue'])),
    async write(directory: string, addresses: Addresses) {
      const { azure } = addresses;
      endpoint.setIn(['spec', 'service', 'port'], addresses.port);
      endpoint.setIn(['spec', 'storage', 'azureBlob', 'account'], 'devstoreaccount1');
      endpoint.setIn(['spec', 'storage', 'azureBlob', 'endpoint'], azure.blobEndpoint);
      endpoint.setIn(['spec', 'events', 'serviceBus', 'namespace'], azure.serviceBusAddress.namespace);
      endpoint.setIn(['spec', 'events', 'serviceBus', 'endpoint'], azure.serviceBusAddress.endpoint);
      find('EventRoute').setIn(['spec', 'targets', 0, 'http', 'url'], addresses.inboxUrl);
      find('SftpUser', 'alice').setIn(['spec', 'authorizedKeys', 0, 'publicKey'], addresses.publicKey);
      find('Secret').setIn(['stringData', 'bob'], addresses.passwordHash);
      await mkdir(directory, { recursive: true });
      for (const file of documents) await writeFile(join(directory, file.name), file.documents.map((document) => stringify(document)).join('---\n'));
    },
  };
}

export function step(text: string): void {
  console.log(`\n\x1b[1m${text}\x1b[0m`);
}

export function detail(text: string): void {
  console.log(`  ${text}`);
}

/** The log as a person reads it. */
function narrate(line: LogLine): void {
  const { level, msg, time: _time, name: _name, ...fields } = line;
  if (level === 'debug') return;
  const shown = Object.entries(fields).map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  console.log(`  \x1b[2m${level === 'info' ? '' : `${level.toUpperCase()} `}${msg}  ${shown.join(' ').slice(0, 220)}\x1b[0m`);
}
