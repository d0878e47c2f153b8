import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashPassword } from '@skiff/credentials/password-hash';
import { Secret } from '@skiff/runtime/secret';
import { parseAllDocuments } from 'yaml';
import { putContainer } from '../emulators/azurite.ts';
import { makeCertificates } from '../emulators/certificates.ts';
import type { Checks } from '../support/checks.ts';
import { OpenSshClient } from '../support/openssh-client.ts';
import type { Cluster } from './cluster/cluster.ts';
import { Kubectl, type KubeObject } from './cluster/kubectl.ts';
import { forwardPort } from './cluster/port-forward.ts';
import { ADDRESSES, CLIENT_ID, PART_HOSTS, PARTS_NAMESPACE, partsManifests, TENANT_ID } from './parts/manifests.ts';

const ROOT = join(import.meta.dirname, '../..');
export const RELEASE = 'skiff';
export const SYSTEM_NAMESPACE = 'skiff-system';
/** That of the quickstart. */
export const NAMESPACE = 'default';
export const ENDPOINT = 'partners';
const CONTAINER = 'files';
const QUEUE = 'file-events';
const GONE_TIMEOUT_MS = 120_000;
const DATABASE_SECRET = 'skiff-database';

/** A version of Skiff: its checkout has the chart and the quickstart. */
export interface Product {
  readonly name: string;
  readonly checkout: string;
  readonly image: string;
}

export const thisVersion = (image: string): Product => ({ name: 'this version', checkout: ROOT, image });
export const chartOf = ({ checkout }: Product): string => join(checkout, 'charts/skiff');

/** What the stations work on. */
export interface Stage {
  readonly kube: Kubectl;
  readonly checks: Checks;
  readonly dir: string;
  /** What was installed. */
  readonly product: Product;
  readonly client: OpenSshClient;
  /** Private key of alice, and the line of its public half. */
  readonly keyFile: string;
  readonly publicKey: string;
  /** Of bob. */
  readonly password: string;
  readonly databasePassword: string;
  /** Authorities of the parts' certificates. */
  readonly caFile: string;
  readonly signal: AbortSignal;
}

export interface StageProps {
  readonly cluster: Cluster;
  readonly partsImage: string;
  readonly product: Product;
  readonly checks: Checks;
  readonly dir: string;
  readonly signal: AbortSignal;
}

/** Brings up what surrounds Skiff and installs the chart. */
export async function setStage({ cluster, partsImage, product, checks, dir, signal }: StageProps): Promise<Stage> {
  const kube = new Kubectl({ env: cluster.env, signal });
  await clearStage(kube);
  const client = new OpenSshClient(join(dir, 'client'));
  const { keyFile, publicKey } = await client.generateKey('id_alice');
  const databasePassword = randomBytes(18).toString('base64url');
  const certificates = await makeCertificates(join(dir, 'certificates'), PART_HOSTS);
  const parts = { image: partsImage, queue: QUEUE, databasePassword, certificates, issuer: cluster.issuer };
  await kube.run(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted', '--overwrite']);
  await kube.apply(partsManifests({ ...parts, subjects: [`${SYSTEM_NAMESPACE}:${RELEASE}`, `${NAMESPACE}:skiff-*`], inboxNamespace: NAMESPACE }));
  await kube.rolledOut(
    PARTS_NAMESPACE,
    ['mariadb', 'azurite', 'token-service', 'service-bus'].map((name) => `deployment/${name}`),
  );
  await kube.rolledOut(NAMESPACE, ['deployment/file-inbox']);
  const azurite = await forwardPort({ kube, namespace: PARTS_NAMESPACE, target: 'service/azurite', port: 10_000 });
  try {
    await putContainer({ host: '127.0.0.1', port: azurite.port, name: CONTAINER, ca: certificates.ca });
  } finally {
    await azurite.stop();
  }
  const password = randomBytes(9).toString('base64url');
  const stage = { kube, checks, dir, product, client, keyFile, publicKey, password, databasePassword, caFile: certificates.caFile, signal };
  await installChart(stage);
  return stage;
}

/** Removes what a run has made, or one before it; nothing that is not there is an error. */
export async function clearStage(kube: Kubectl): Promise<void> {
  const gone = ['--ignore-not-found', '--timeout=90s'];
  const kinds = (await kube.run(['api-resources', '--api-group=skiff.dev', '-o', 'name'])).split('\n').filter((kind) => kind !== '');
  for (const kind of kinds) await deleteAll(kube, kind);
  await kube.helm(['uninstall', RELEASE, '-n', SYSTEM_NAMESPACE, '--ignore-not-found', '--wait']);
  await kube.run(['-n', NAMESPACE, 'delete', 'deployment/file-inbox', 'service/file-inbox', 'secret/sftp-passwords', ...gone]);
  await kube.run(['delete', 'namespace', PARTS_NAMESPACE, SYSTEM_NAMESPACE, ...gone]);
  if (kinds.length > 0) await kube.run(['delete', 'crd', ...kinds, ...gone]);
}

async function installChart(stage: Stage): Promise<void> {
  const { kube, checks, databasePassword, product } = stage;
  await kube.apply([
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: SYSTEM_NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace: SYSTEM_NAMESPACE, name: DATABASE_SECRET },
      stringData: { url: `mysql://skiff:${databasePassword}@${ADDRESSES.databaseHost}:3306/skiff` },
    },
  ]);
  const startedAt = performance.now();
  await upgradeChart(stage, product);
  checks.add(`helm install of ${product.name} until the operator is ready`, (performance.now() - startedAt) / 1_000, 's', '<= 120');
}

/** All of a kind at once: kubectl by itself deletes thousands one by one. `kind` as in `sftpusers.skiff.dev`. */
async function deleteAll(kube: Kubectl, kind: string): Promise<void> {
  const [plural = '', ...group] = kind.split('.');
  await kube.run(['delete', '--raw', `/apis/${group.join('.')}/v1alpha1/namespaces/${NAMESPACE}/${plural}`]);
  const left = () => kube.value(['-n', NAMESPACE, 'get', kind], '{.items[*].metadata.name}');
  await kube.eventually(`end of all ${plural}`, async () => ((await left()) === '' ? true : undefined), GONE_TIMEOUT_MS);
}

/** `helm upgrade --install`, and waits for the operator. */
export async function upgradeChart({ kube, caFile, dir }: Stage, product: Product): Promise<void> {
  const [repository, tag] = product.image.split(/:(?=[^/]+$)/);
  const values = join(dir, 'values.json');
  const content = {
    image: { repository, tag, pullPolicy: 'IfNotPresent' },
    database: { urlSecret: { name: DATABASE_SECRET } },
    identity: { clientId: CLIENT_ID, tenantId: TENANT_ID, authorityHost: ADDRESSES.authorityHost },
    trustedCertificates: await readFile(caFile, 'utf8'),
    namespaces: { endpoints: [NAMESPACE] },
    // The application is a Service of this cluster.
    pods: { allowedTargetRanges: ['10.0.0.0/8'] },
    test: { endpoint: `${NAMESPACE}/${ENDPOINT}` },
  };
  await writeFile(values, JSON.stringify(content));
  await kube.helm(['upgrade', '--install', RELEASE, chartOf(product), '-n', SYSTEM_NAMESPACE, '-f', values, '--wait', '--timeout', '3m']);
}

/** The quickstart with this run's addresses and credentials, and nothing else changed. */
export async function quickstart({ product, publicKey, password }: Stage, clientAddress: string): Promise<readonly KubeObject[]> {
  const hash = await hashPassword(new Secret(password));
  const objects: KubeObject[] = [];
  const folder = join(product.checkout, 'deploy/quickstart');
  for (const name of (await readdir(folder)).sort()) {
    for (const document of parseAllDocuments(await readFile(join(folder, name), 'utf8'))) {
      switch (`${document.get('kind')}/${document.getIn(['metadata', 'name'])}`) {
        case `SftpEndpoint/${ENDPOINT}`:
          document.setIn(['spec', 'storage', 'azureBlob', 'endpoint'], ADDRESSES.blobEndpoint);
          document.setIn(['spec', 'events', 'serviceBus', 'endpoint'], ADDRESSES.serviceBusEndpoint);
          document.setIn(['spec', 'drain', 'graceSeconds'], 60);
          break;
        case 'SftpUser/alice':
          document.setIn(['spec', 'authorizedKeys', 0, 'publicKey'], publicKey);
          break;
        case 'SftpUser/bob':
          document.setIn(['spec', 'allowedSourceRanges'], [`${clientAddress}/32`]);
          break;
        case 'Secret/sftp-passwords':
          document.setIn(['stringData', 'bob'], hash);
          break;
        default:
          break;
      }
      objects.push(document.toJS());
    }
  }
  return objects;
}
