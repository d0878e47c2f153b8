import { AZURITE_ACCOUNT } from '../../emulators/azurite.ts';
import type { ServerConfig } from '../../emulators/service-bus/server-config.ts';
import { queuesOnly } from '../../emulators/service-bus.ts';
import type { TokenServiceConfig } from '../../emulators/token-service/config.ts';
import type { KubeObject } from '../cluster/kubectl.ts';

export const PARTS_NAMESPACE = 'skiff-parts';
export const TENANT_ID = '11111111-1111-1111-1111-111111111111';
export const CLIENT_ID = '22222222-2222-2222-2222-222222222222';
const OBJECT_ID = '33333333-3333-3333-3333-333333333333';
const AUDIENCE = 'https://servicebus.azure.net';
const CLUSTER_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const PORTS = { mariadb: 3306, azurite: 10_000, 'token-service': 8443, 'service-bus': 5671, 'file-inbox': 8080 } as const;
type Part = keyof typeof PORTS;

const hostOf = (part: Part, namespace = PARTS_NAMESPACE): string => `${part}.${namespace}.svc`;

/** Names that the parts' certificate must cover. */
export const PART_HOSTS = (['azurite', 'token-service', 'service-bus'] as const).map((part) => hostOf(part));

/** Where Skiff finds them from inside the cluster. */
export const ADDRESSES = {
  authorityHost: `https://${hostOf('token-service')}:${PORTS['token-service']}/`,
  blobEndpoint: `https://${hostOf('azurite')}:${PORTS.azurite}/${AZURITE_ACCOUNT}`,
  serviceBusEndpoint: `sb://${hostOf('service-bus')}:${PORTS['service-bus']}`,
  databaseHost: hostOf('mariadb'),
};

export interface PartsProps {
  readonly image: string;
  readonly queue: string;
  readonly databasePassword: string;
  readonly certificates: { readonly ca: string; readonly key: string; readonly cert: string };
  /** Issuer of the cluster's service account tokens. */
  readonly issuer: string;
  /** Service accounts that may become the managed identity: `namespace:name`, a trailing `*` allows any ending. */
  readonly subjects: readonly string[];
  /** Where the quickstart's application lives. */
  readonly inboxNamespace: string;
}

/** MariaDB, emulated Azure and the application, as the API server takes them. */
export function partsManifests(props: PartsProps): readonly KubeObject[] {
  const { ca, key, cert } = props.certificates;
  const namespace = PARTS_NAMESPACE;
  const config = {
    'token-service.json': JSON.stringify(tokenServiceConfig(props)),
    'service-bus.json': JSON.stringify(serviceBusConfig(props)),
    'mariadb.sh': mariadbScript(),
    'ca.pem': ca,
  };
  return [
    namespaceOf(namespace),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name: 'parts' }, data: config },
    { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'parts' }, stringData: { 'server.key': key, 'server.pem': cert } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'mariadb' }, stringData: { password: props.databasePassword } },
    ...partOf(props, { part: 'mariadb', command: ['sh', '/config/mariadb.sh'] }),
    ...partOf(props, {
      part: 'azurite',
      // Without the last flag it takes the first part of its host name for the account.
      command: node('azurite', [
        ...['--blobHost', '0.0.0.0', '--blobPort', String(PORTS.azurite), '--cert', '/tls/server.pem', '--key', '/tls/server.key', '--location', '/data'],
        ...['--oauth', 'basic', '--silent', '--disableTelemetry', '--skipApiVersionCheck', '--disableProductStyleUrl'],
      ]),
    }),
    ...partOf(props, { part: 'token-service', command: node('token-service', ['/config/token-service.json']), apiToken: true }),
    ...partOf(props, { part: 'service-bus', command: node('service-bus', ['/config/service-bus.json']) }),
    ...partOf(props, { part: 'file-inbox', command: node('inbox', [String(PORTS['file-inbox'])]), namespace: props.inboxNamespace }),
  ];
}

function node(script: string, args: readonly string[]): readonly string[] {
  return ['/usr/local/bin/node', `/parts/${script}.mjs`, ...args];
}

function namespaceOf(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } };
}

interface PartProps {
  readonly part: Part;
  readonly command: readonly string[];
  readonly namespace?: string;
  /** The token service reads the cluster's public keys. */
  readonly apiToken?: boolean;
}

function partOf(props: PartsProps, { part, command, namespace = PARTS_NAMESPACE, apiToken = false }: PartProps): readonly KubeObject[] {
  const labels = { app: part };
  const port = PORTS[part];
  const inParts = namespace === PARTS_NAMESPACE;
  const volumes = [
    { name: 'data', emptyDir: {} },
    { name: 'tmp', emptyDir: {} },
    ...(inParts ? [{ name: 'config', configMap: { name: 'parts' } }, ...(part === 'mariadb' ? [] : [{ name: 'tls', secret: { secretName: 'parts' } }])] : []),
  ];
  const mounts: Readonly<Record<string, string>> = { data: '/data', tmp: '/tmp', config: '/config', tls: '/tls' };
  const container = {
    name: part,
    image: props.image,
    imagePullPolicy: 'IfNotPresent',
    command,
    env:
      part === 'mariadb'
        ? [{ name: 'SKIFF_PASSWORD', valueFrom: { secretKeyRef: { name: 'mariadb', key: 'password' } } }]
        : [{ name: 'NODE_ENV', value: 'production' }],
    ports: [{ containerPort: port }],
    readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: volumes.map(({ name }) => ({ name, mountPath: mounts[name] })),
  };
  const pod = {
    automountServiceAccountToken: apiToken,
    terminationGracePeriodSeconds: 10,
    securityContext: { fsGroup: 65_532 },
    containers: [container],
    volumes,
  };
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name: part }, spec: { selector: labels, ports: [{ port }] } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace, name: part },
      spec: { replicas: 1, strategy: { type: 'Recreate' }, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
    },
  ];
}

function tokenServiceConfig({ issuer, subjects }: PartsProps): TokenServiceConfig {
  const keys = {
    url: 'https://kubernetes.default.svc/openid/v1/jwks',
    caFile: `${CLUSTER_ACCOUNT}/ca.crt`,
    bearerTokenFile: `${CLUSTER_ACCOUNT}/token`,
  };
  const federated = [{ issuer, subjects: subjects.map((subject) => `system:serviceaccount:${subject}`), keys }];
  return {
    host: '0.0.0.0',
    port: PORTS['token-service'],
    publicUrl: ADDRESSES.authorityHost.replace(/\/$/, ''),
    keyFile: '/tls/server.key',
    certFile: '/tls/server.pem',
    signingKeyFile: '/data/signing-key.pem',
    tenantId: TENANT_ID,
    tokenLifetimeSeconds: 3_599,
    applications: [{ clientId: CLIENT_ID, objectId: OBJECT_ID, federated }],
  };
}

function serviceBusConfig({ queue }: PartsProps): ServerConfig {
  return {
    host: '0.0.0.0',
    port: PORTS['service-bus'] + 1,
    tlsPort: PORTS['service-bus'],
    keyFile: '/tls/server.key',
    certFile: '/tls/server.pem',
    dataDir: '/data',
    fsync: true,
    maxMessageBytes: 1_048_576,
    maxQueueBytes: 1_073_741_824,
    entities: queuesOnly([queue]),
    sharedAccessKeys: {},
    tokens: {
      issuerPrefix: 'https://sts.windows.net/',
      audiences: [AUDIENCE, `${AUDIENCE}/`],
      keys: { url: `${ADDRESSES.authorityHost}${TENANT_ID}/discovery/v2.0/keys`, caFile: '/config/ca.pem' },
      objectIds: [OBJECT_ID],
    },
  };
}

function mariadbScript(): string {
  return `set -eu
if [ ! -d /data/mysql ]; then mariadb-install-db --no-defaults --datadir=/data --auth-root-authentication-method=normal --skip-test-db >/tmp/install.log 2>&1 || { cat /tmp/install.log; exit 1; }; fi
cat >/tmp/init.sql <<SQL
CREATE DATABASE IF NOT EXISTS skiff CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE OR REPLACE USER 'skiff'@'%' IDENTIFIED BY '$SKIFF_PASSWORD';
GRANT ALL PRIVILEGES ON skiff.* TO 'skiff'@'%';
SQL
exec /usr/sbin/mariadbd --no-defaults --datadir=/data --socket=/tmp/db.sock --pid-file=/tmp/db.pid --init-file=/tmp/init.sql --bind-address=0.0.0.0 \\
  --port=${PORTS.mariadb} --skip-name-resolve --skip-log-bin --performance-schema=OFF --innodb-buffer-pool-size=128M --max-connections=400 \\
  --max-allowed-packet=64M --character-set-server=utf8mb4 --collation-server=utf8mb4_bin
`;
}
