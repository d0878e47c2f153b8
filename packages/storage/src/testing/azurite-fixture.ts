import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { Secret } from '@skiff/runtime/secret';
import type { SharedKey } from '../azure-blob/credential.ts';

export interface Azurite {
  readonly accountUrl: string;
  readonly credential: SharedKey;
  stop(): Promise<void>;
}

// Azurite's account and key are the same everywhere and documented: nothing is protected by them.
const ACCOUNT_NAME = 'devstoreaccount1';
const ACCOUNT_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

const START_TIMEOUT_MS = 30_000;

// A test that is killed must not leave it running: its end closes the channel.
const DIE_WITH_PARENT = 'data:text/javascript,process.on("disconnect",()=>process.exit());process.channel?.unref()';

/** Azurite's Blob service as a process of its own, on a free port, in memory, over plain HTTP. */
export async function startAzurite(): Promise<Azurite> {
  const main = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js');
  const args = ['--inMemoryPersistence', '--skipApiVersionCheck', '--silent', '--disableTelemetry', '--blobHost', '127.0.0.1', '--blobPort', '0'];
  const child = spawn(process.execPath, ['--import', DIE_WITH_PARENT, main, ...args], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const accountUrl = `${await addressOf(child)}/${ACCOUNT_NAME}`;
  return { accountUrl, credential: { accountName: ACCOUNT_NAME, accountKey: new Secret(ACCOUNT_KEY) }, stop: () => stop(child) };
}

async function addressOf(child: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(() => reject(new Error('Azurite did not start in time')), START_TIMEOUT_MS);
  let output = '';
  child.stdout?.on('error', reject);
  child.stdout?.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4096);
    const address = /successfully listens on (http:\/\/[0-9.]+:\d+)/.exec(output)?.[1];
    if (address !== undefined) resolve(address);
  });
  child.on('error', reject);
  child.on('exit', (code) => reject(new Error(`Azurite ended with ${code}`)));
  try {
    return await promise;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

/** Makes a container of a new name. */
export async function createContainer(account: { readonly accountUrl: string; readonly credential: SharedKey }): Promise<string> {
  const name = `test-${randomUUID()}`;
  const { accountName, accountKey } = account.credential;
  await new ContainerClient(`${account.accountUrl}/${name}`, new StorageSharedKeyCredential(accountName, accountKey.reveal())).create();
  return name;
}
