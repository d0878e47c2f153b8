import { createHmac } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { request } from 'node:https';
import { createRequire } from 'node:module';
import type { Certificates } from './certificates.ts';
import { type EmulatorProcess, startEmulator } from './emulator-process.ts';

/** The account that Azurite always has, with its well-known key. Not a secret. */
export const AZURITE_ACCOUNT = 'devstoreaccount1';
export const AZURITE_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const API_VERSION = '2021-12-02';
const REQUEST_TIMEOUT_MS = 10_000;

export interface AzuriteProps {
  readonly certificates: Certificates;
  /** Where blobs are kept; absent: in memory. */
  readonly dir?: string;
  readonly containers: readonly string[];
  readonly host?: string;
  /** 0 or absent: any free port. */
  readonly port?: number;
}

/**
 * Blob Storage. Stop it with SIGTERM when its data matters: it saves its metadata every 5 s only, so a kill loses the rest.
 * Requires HTTPS and tokens (`--oauth basic`) or the shared key.
 */
export interface Azurite extends EmulatorProcess {
  /** `https://127.0.0.1:<port>/devstoreaccount1` */
  readonly blobEndpoint: string;
  createContainer(name: string): Promise<void>;
}

export async function startAzurite(props: AzuriteProps): Promise<Azurite> {
  const { certificates, dir, host = '127.0.0.1' } = props;
  let port = props.port ?? 0;
  if (dir !== undefined) await mkdir(dir, { recursive: true });
  const child = await startEmulator({
    name: 'azurite',
    entry: createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js'),
    args: () => [
      ...['--blobHost', host, '--blobPort', String(port), '--cert', certificates.certFile, '--key', certificates.keyFile],
      // The SDK speaks an API version newer than Azurite 3.37 knows.
      ...['--oauth', 'basic', '--silent', '--disableTelemetry', '--skipApiVersionCheck'],
      ...(dir === undefined ? ['--inMemoryPersistence'] : ['--location', dir]),
    ],
    readyFrom: (output) => /successfully listens? on https:\/\/\S+:(\d+)|listening (?:at|on) https:\/\/\S+:(\d+)/i.exec(output)?.slice(1).find(Boolean),
    onReady: (ready) => {
      port = Number(ready);
    },
  });
  const createContainer = (name: string): Promise<void> => putContainer({ host, port, name, ca: certificates.ca });
  for (const name of props.containers) await createContainer(name);
  return Object.assign(child, { blobEndpoint: `https://127.0.0.1:${port}/${AZURITE_ACCOUNT}`, createContainer });
}

/** Create Container with a shared key (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key). */
export async function putContainer(props: { readonly host: string; readonly port: number; readonly name: string; readonly ca: string }): Promise<void> {
  const date = new Date().toUTCString();
  const path = `/${AZURITE_ACCOUNT}/${props.name}`;
  const canonical = [
    'PUT',
    ...Array.from({ length: 11 }, () => ''),
    `x-ms-date:${date}`,
    `x-ms-version:${API_VERSION}`,
    `/${AZURITE_ACCOUNT}${path}`,
    'restype:container',
  ];
  const signature = createHmac('sha256', Buffer.from(AZURITE_KEY, 'base64')).update(canonical.join('\n')).digest('base64');
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const call = request({
      host: props.host,
      port: props.port,
      path: `${path}?restype=container`,
      method: 'PUT',
      ca: props.ca,
      servername: 'localhost',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      headers: { 'x-ms-date': date, 'x-ms-version': API_VERSION, authorization: `SharedKey ${AZURITE_ACCOUNT}:${signature}`, 'content-length': 0 },
    });
    call.on('error', reject);
    call.on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.end();
  });
  if (status !== 201 && status !== 409) throw new Error(`creating the container ${props.name} was answered with ${status}`);
}
