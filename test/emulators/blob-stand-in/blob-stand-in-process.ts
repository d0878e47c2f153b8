import { fileURLToPath } from 'node:url';
import { startEmulator } from '../emulator-process.ts';
import type { BlobStandInStats } from './blob-stand-in.ts';
import type { Faults } from './faults.ts';

export interface BlobStandInProcessOptions {
  /** Default `files`. */
  readonly containers?: readonly string[];
  readonly discardPayload?: boolean;
  /** PEM files. */
  readonly tls?: { readonly keyFile: string; readonly certFile: string };
  /** Default: a free one. */
  readonly port?: number;
}

/** The stand-in in a process of its own, which ends with this one. */
export interface BlobStandInProcess {
  readonly url: string;
  readonly accountName: string;
  readonly accountKey: string;
  readonly pid: number | undefined;
  stats(): Promise<BlobStandInStats>;
  /** From now on; `{}` ends them. */
  setFaults(faults: Faults): Promise<void>;
  stop(): Promise<void>;
}

export async function startBlobStandInProcess(options: BlobStandInProcessOptions = {}): Promise<BlobStandInProcess> {
  const { tls } = options;
  const args = [
    ...(options.containers ?? ['files']).map((name) => `--container=${name}`),
    ...(options.discardPayload === true ? ['--discard'] : []),
    ...(tls === undefined ? [] : [`--tls-key=${tls.keyFile}`, `--tls-cert=${tls.certFile}`]),
    `--port=${options.port ?? 0}`,
  ];
  let address: Address | undefined;
  const emulator = await startEmulator({
    name: 'blob stand-in',
    entry: fileURLToPath(new URL('main.ts', import.meta.url)),
    args: () => args,
    onReady: (ready) => {
      address = parseAddress(ready);
    },
  });
  if (address === undefined) throw new Error('the blob stand-in did not say where it is');
  return {
    ...address,
    pid: emulator.pid,
    stats: async () => parseStats(await emulator.request('stats')),
    setFaults: async (faults) => {
      await emulator.request({ faults });
    },
    stop: () => emulator.stop(),
  };
}

interface Address {
  readonly url: string;
  readonly accountName: string;
  readonly accountKey: string;
}

function parseAddress(ready: unknown): Address {
  if (typeof ready === 'object' && ready !== null && 'url' in ready && 'accountName' in ready && 'accountKey' in ready) {
    const { url, accountName, accountKey } = ready;
    if (typeof url === 'string' && typeof accountName === 'string' && typeof accountKey === 'string') return { url, accountName, accountKey };
  }
  throw new Error('not the address of a blob stand-in');
}

function parseStats(answer: unknown): BlobStandInStats {
  if (typeof answer === 'object' && answer !== null && 'requests' in answer && 'faults' in answer && 'receivedBytes' in answer && 'sentBytes' in answer) {
    const { requests, faults, receivedBytes, sentBytes } = answer;
    if (isCounters(requests) && isCounters(faults) && typeof receivedBytes === 'number' && typeof sentBytes === 'number') {
      return { requests, faults, receivedBytes, sentBytes };
    }
  }
  throw new Error('not the figures of a blob stand-in');
}

function isCounters(value: unknown): value is Readonly<Record<string, number>> {
  return typeof value === 'object' && value !== null && Object.values(value).every((item) => typeof item === 'number');
}
