import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Type from 'typebox';
import { Value } from 'typebox/value';
import type { Certificates } from './certificates.ts';
import { type EmulatorProcess, startEmulator } from './emulator-process.ts';
import { type EmulatorConfigFile, toDuration } from './service-bus/entity-config.ts';
import type { ServerConfig } from './service-bus/server-config.ts';

const KEY_NAME = 'RootManageSharedAccessKey';
const KEY = 'SAS_KEY_VALUE';
const MAX_MESSAGE_BYTES = 1_048_576;
const MAX_QUEUE_BYTES = 1_073_741_824;

const Ready = Type.Object({ port: Type.Integer(), tlsPort: Type.Integer() });
const Counts = Type.Record(Type.String(), Type.Integer());

/** A queue; the defaults are those of Service Bus but for duplicate detection, which is on with 10 minutes. */
export interface QueueOptions {
  readonly name: string;
  /** Default 60,000. */
  readonly lockMs?: number;
  /** Default 10. */
  readonly maxDeliveryCount?: number;
  /** Default 600,000; 0 turns it off. */
  readonly duplicateWindowMs?: number;
  readonly requiresSession?: boolean;
}

export interface ServiceBusProps {
  readonly dir: string;
  readonly certificates: Certificates;
  readonly entities: EmulatorConfigFile;
  readonly tokens: ServerConfig['tokens'];
  /** Default true. */
  readonly fsync?: boolean;
  readonly host?: string;
  readonly port?: number;
  readonly tlsPort?: number;
}

export type ServiceBusFault = 'throttle' | 'unthrottle' | 'detachLinks' | 'dropConnections';

export interface ServiceBusProcess extends EmulatorProcess {
  /** `sb://localhost:<TLS port>`: the custom endpoint address for token credentials. */
  readonly endpoint: string;
  /** Without TLS, by key. */
  readonly connectionString: string;
  /** Messages per queue: waiting, locked, deferred and scheduled together. Dead letters are under `<queue>/$deadletterqueue`. */
  counts(): Promise<Readonly<Record<string, number>>>;
  fault(fault: ServiceBusFault): Promise<void>;
}

/** The Service Bus emulator in a child process. */
export async function startServiceBusProcess(props: ServiceBusProps): Promise<ServiceBusProcess> {
  await mkdir(props.dir, { recursive: true });
  const configFile = join(props.dir, 'config.json');
  let port = props.port ?? 0;
  let tlsPort = props.tlsPort ?? 0;
  const child = await startEmulator({
    name: 'service-bus',
    entry: fileURLToPath(new URL('service-bus/main.ts', import.meta.url)),
    args: async () => {
      const config: ServerConfig = {
        host: props.host ?? '127.0.0.1',
        port,
        tlsPort,
        keyFile: props.certificates.keyFile,
        certFile: props.certificates.certFile,
        dataDir: join(props.dir, 'data'),
        fsync: props.fsync ?? true,
        maxMessageBytes: MAX_MESSAGE_BYTES,
        maxQueueBytes: MAX_QUEUE_BYTES,
        entities: props.entities,
        sharedAccessKeys: { [KEY_NAME]: KEY },
        tokens: props.tokens,
      };
      await writeFile(configFile, JSON.stringify(config, null, 2));
      return [configFile];
    },
    onReady: (ready) => {
      Value.Assert(Ready, ready);
      ({ port, tlsPort } = ready);
    },
  });
  return Object.assign(child, {
    endpoint: `sb://localhost:${tlsPort}`,
    connectionString: `Endpoint=sb://localhost:${port};SharedAccessKeyName=${KEY_NAME};SharedAccessKey=${KEY};UseDevelopmentEmulator=true;`,
    counts: async () => {
      const counts = await child.request('counts');
      Value.Assert(Counts, counts);
      return counts;
    },
    fault: async (fault: ServiceBusFault) => {
      const answer = await child.request(fault);
      if (answer !== 'done') throw new Error(String(answer));
    },
  });
}

/** `Config.json` with these queues and no topics. */
export function queuesOnly(queues: readonly (string | QueueOptions)[]): EmulatorConfigFile {
  return {
    UserConfig: {
      Namespaces: [{ Name: 'skiff', Queues: queues.map((queue) => toConfigQueue(typeof queue === 'string' ? { name: queue } : queue)) }],
    },
  };
}

type ConfigQueue = NonNullable<EmulatorConfigFile['UserConfig']['Namespaces'][number]['Queues']>[number];

function toConfigQueue({ name, lockMs = 60_000, maxDeliveryCount = 10, duplicateWindowMs = 600_000, requiresSession = false }: QueueOptions): ConfigQueue {
  return {
    Name: name,
    Properties: {
      LockDuration: toDuration(lockMs),
      MaxDeliveryCount: maxDeliveryCount,
      RequiresSession: requiresSession,
      RequiresDuplicateDetection: duplicateWindowMs > 0,
      ...(duplicateWindowMs > 0 ? { DuplicateDetectionHistoryTimeWindow: toDuration(duplicateWindowMs) } : {}),
    },
  };
}
