import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Azurite, startAzurite } from './azurite.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import type { EmulatorConfigFile } from './service-bus/entity-config.ts';
import { type QueueOptions, queuesOnly, type ServiceBusProcess, startServiceBusProcess } from './service-bus.ts';
import { createFederatedTokenIssuer, type FederatedTokenIssuer } from './token-service/federated-token.ts';
import { startTokenServiceProcess, type TokenServiceProcess } from './token-service.ts';

const TENANT_ID = '11111111-1111-1111-1111-111111111111';
const CLIENT_ID = '22222222-2222-2222-2222-222222222222';
const OBJECT_ID = '33333333-3333-3333-3333-333333333333';
const SUBJECT = 'system:serviceaccount:skiff:skiff';
/** Looks like the real thing; `endpoint` says where it is. */
const NAMESPACE = 'skiff.servicebus.windows.net';
const SERVICE_BUS_AUDIENCE = 'https://servicebus.azure.net';

export interface AzureProps {
  /** Work directory: certificates, tokens, data. */
  readonly dir: string;
  readonly containers?: readonly string[];
  readonly queues?: readonly (string | QueueOptions)[];
  /** In place of `queues`: a whole `Config.json` of Microsoft's emulator, topics included. */
  readonly entities?: EmulatorConfigFile;
  /** How long access tokens live. Default 3,599. */
  readonly tokenLifetimeSeconds?: number;
  /** Keeps blobs in `dir`, so that they outlive a restart; else they are in memory. */
  readonly durableBlobs?: boolean;
  /** Called with one line per step. */
  readonly onProgress?: (line: string) => void;
}

/** Azure on this machine: each emulator in a process of its own on random ports of the loopback interface. */
export interface Azure {
  /** What workload identity injects into a pod, plus the authority to trust. Give it to the process under test. */
  readonly env: Readonly<Record<string, string>>;
  readonly certificates: Certificates;
  readonly identity: { readonly tenantId: string; readonly clientId: string; readonly tokenFile: string; readonly authorityHost: string };
  readonly federation: FederatedTokenIssuer;
  /** `https://127.0.0.1:<port>/devstoreaccount1` */
  readonly blobEndpoint: string;
  readonly tokenService: TokenServiceProcess;
  readonly azurite: Azurite;
  /** What `createServiceBusPublisher` and `…Consumer` take beside the queue and a token credential. */
  readonly serviceBusAddress: { readonly namespace: string; readonly endpoint: string };
  readonly serviceBus: ServiceBusProcess;
  stop(): Promise<void>;
}

export async function startAzure(props: AzureProps): Promise<Azure> {
  const { dir, onProgress = () => {} } = props;
  await mkdir(dir, { recursive: true });
  const certificates = await makeCertificates(join(dir, 'certificates'));
  const federation = await createFederatedTokenIssuer();
  const tokenFile = join(dir, 'federated-token');
  await federation.write(tokenFile, { subject: SUBJECT });
  onProgress('certificates and federated token made');

  const started: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((emulator) => emulator.stop()));
  };
  try {
    const tokenService = await startTokenServiceProcess({
      dir: join(dir, 'token-service'),
      certificates,
      tenantId: TENANT_ID,
      ...(props.tokenLifetimeSeconds === undefined ? {} : { tokenLifetimeSeconds: props.tokenLifetimeSeconds }),
      applications: [
        {
          clientId: CLIENT_ID,
          objectId: OBJECT_ID,
          federated: [{ issuer: federation.issuer, subjects: [SUBJECT], keys: { jwks: federation.jwks } }],
        },
      ],
    });
    started.push(tokenService);
    onProgress(`token service at ${tokenService.url}`);
    const azurite = await startAzurite({ certificates, containers: props.containers ?? [], ...(props.durableBlobs ? { dir: join(dir, 'blobs') } : {}) });
    started.push(azurite);
    onProgress(`blob storage at ${azurite.blobEndpoint}`);
    const serviceBus = await startServiceBusProcess({
      dir: join(dir, 'service-bus'),
      certificates,
      entities: props.entities ?? queuesOnly(props.queues ?? []),
      tokens: {
        issuerPrefix: 'https://sts.windows.net/',
        audiences: [SERVICE_BUS_AUDIENCE, `${SERVICE_BUS_AUDIENCE}/`],
        keys: { url: `${tokenService.url}/${TENANT_ID}/discovery/v2.0/keys`, caFile: certificates.caFile },
        objectIds: [OBJECT_ID],
      },
    });
    started.push(serviceBus);
    onProgress(`service bus at ${serviceBus.endpoint}`);
    const identity = { tenantId: TENANT_ID, clientId: CLIENT_ID, tokenFile, authorityHost: `${tokenService.url}/` };
    const env = {
      AZURE_TENANT_ID: identity.tenantId,
      AZURE_CLIENT_ID: identity.clientId,
      AZURE_FEDERATED_TOKEN_FILE: identity.tokenFile,
      AZURE_AUTHORITY_HOST: identity.authorityHost,
      NODE_EXTRA_CA_CERTS: certificates.caFile,
    };
    const serviceBusAddress = { namespace: NAMESPACE, endpoint: serviceBus.endpoint };
    return { env, certificates, identity, federation, blobEndpoint: azurite.blobEndpoint, tokenService, azurite, serviceBusAddress, serviceBus, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
