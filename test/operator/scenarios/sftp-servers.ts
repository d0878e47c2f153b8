import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateHostKey } from '@skiff/credentials/host-key';
import type { KubeObject } from '@skiff/kube/kube-object';
import { ConfigMaps, Secrets } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import { hostKeySecretName, workloadName } from '@skiff/policy/workload-names';
import { type BlobStandInProcess, startBlobStandInProcess } from '../../emulators/blob-stand-in/blob-stand-in-process.ts';
import { freePort } from '../../support/free-port.ts';
import type { Login } from '../../support/openssh-client.ts';
import { SkiffProcess } from '../../support/skiff-process.ts';
import { endpointManifest } from '../manifests.ts';
import type { OperatorRig } from '../operator-rig.ts';
import { until } from '../until.ts';

export interface KeyPair {
  readonly keyFile: string;
  readonly publicKey: string;
}

const ENDPOINT = 'main';
const START_TIMEOUT_MS = 60_000;

/** `skiff sftp-server` processes with the settings and host keys that the operator has made, mounted as a kubelet would. */
export class SftpServers implements AsyncDisposable {
  readonly dir: string;
  readonly ports: readonly number[];
  readonly #standIn: BlobStandInProcess;
  readonly #processes: readonly SkiffProcess[];
  #keys = 0;

  private constructor(props: {
    readonly dir: string;
    readonly ports: readonly number[];
    readonly standIn: BlobStandInProcess;
    readonly processes: readonly SkiffProcess[];
  }) {
    this.dir = props.dir;
    this.ports = props.ports;
    this.#standIn = props.standIn;
    this.#processes = props.processes;
  }

  /** Makes the endpoint `main` in the namespace, for an operator that runs already. */
  static async start(rig: OperatorRig, namespace: string, count: number): Promise<SftpServers> {
    const dir = await mkdtemp(join(tmpdir(), 'skiff-servers-'));
    const standIn = await startBlobStandInProcess({ containers: ['files'] });
    const processes: SkiffProcess[] = [];
    try {
      const storage = { azureBlob: { account: standIn.accountName, container: 'files', endpoint: standIn.url } };
      await rig.apply(endpointManifest(namespace, ENDPOINT, { storage }));
      const settings = await mounted(() => rig.get(ConfigMaps, workloadName(ENDPOINT), namespace), 'endpoint.json');
      const hostKeys = await mounted(() => rig.get(Secrets, hostKeySecretName(ENDPOINT), namespace), 'ssh_host_ed25519_key');
      const hostKeyFile = join(dir, 'ssh_host_ed25519_key');
      await writeFile(hostKeyFile, Buffer.from(hostKeys, 'base64'), { mode: 0o600 });
      const ports: number[] = [];
      for (let index = 0; index < count; index++) {
        const port = await freePort();
        const settingsFile = join(dir, `endpoint-${index}.json`);
        await writeFile(settingsFile, JSON.stringify({ ...JSON.parse(settings), port }));
        ports.push(port);
        processes.push(
          new SkiffProcess({
            args: ['sftp-server'],
            env: {
              SKIFF_DATABASE_URL: rig.database.url.reveal(),
              SKIFF_ENDPOINT_FILE: settingsFile,
              SKIFF_HOST_KEY_FILES: hostKeyFile,
              SKIFF_LISTEN_HOST: '127.0.0.1',
              AZURE_STORAGE_KEY: standIn.accountKey,
            },
          }),
        );
      }
      for (const one of processes) await one.waitFor('listening SFTP server', ({ msg }) => msg === 'SFTP server listening', START_TIMEOUT_MS);
      return new SftpServers({ dir, ports, standIn, processes });
    } catch (error) {
      await end(dir, standIn, processes);
      throw error;
    }
  }

  async newKey(): Promise<KeyPair> {
    const { privateKey, publicKey } = generateHostKey();
    const keyFile = join(this.dir, `key-${++this.#keys}`);
    await writeFile(keyFile, privateKey.reveal(), { mode: 0o600 });
    return { keyFile, publicKey };
  }

  /** One login per server. */
  logins(username: string, credential: Login['credential']): readonly Login[] {
    return this.ports.map((port) => ({ host: '127.0.0.1', port, username, credential }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return end(this.dir, this.#standIn, this.#processes);
  }
}

async function end(dir: string, standIn: BlobStandInProcess, processes: readonly SkiffProcess[]): Promise<void> {
  await Promise.all(processes.map((one) => one.kill()));
  await standIn.stop();
  await rm(dir, { recursive: true, force: true });
}

/** The text of one key of a ConfigMap or Secret, once the operator has made it. */
async function mounted(get: () => Promise<KubeObject | undefined>, key: string): Promise<string> {
  let found = '';
  await until(`an object with ${key}`, true, async () => {
    const object = await get();
    const value = isRecord(object?.data) ? object.data[key] : undefined;
    found = typeof value === 'string' ? value : '';
    return found !== '';
  });
  return found;
}
