import { scryptSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { KubeConfigSource } from '@skiff/kube/kube-config';
import { errorCodeOf } from '@skiff/model/error-code';
import type { WorkloadContext } from '@skiff/policy/workload-context';
import type { Secret } from '@skiff/runtime/secret';
import type { Configuration } from './configuration.ts';
import { ConfigurationError, type Environment } from './environment.ts';

/** What the mode `operator` reads beyond what every mode does. */
export interface OperatorConfiguration {
  readonly kube: KubeConfigSource;
  /** Where the lease lies and the operator's ServiceAccount. */
  readonly serviceAccount: { readonly namespace: string; readonly name: string };
  readonly podName: string;
  readonly databaseUrl: Secret<string>;
  readonly workloads: WorkloadContext;
}

/** @throws {ConfigurationError} that names the first wrong setting. */
export function readOperatorConfiguration(environment: Environment, configuration: Configuration): OperatorConfiguration {
  const { databaseUrl } = configuration;
  if (databaseUrl === undefined) throw new ConfigurationError('SKIFF_DATABASE_URL is missing: mysql://user:password@host:3306/skiff');
  const image = environment.text('SKIFF_IMAGE');
  if (image === undefined) throw new ConfigurationError('SKIFF_IMAGE is missing: the image that SFTP servers and routers run from');
  const { allowedTargetRanges, databaseCaFile, azureAuthorityHost, logLevel } = configuration;
  const fsGroup = environment.integer('SKIFF_POD_FS_GROUP', 65_532, { min: 0, max: 2_147_483_647 });
  return {
    kube: kubeSource(environment),
    serviceAccount: { namespace: environment.text('SKIFF_NAMESPACE') ?? 'default', name: environment.text('SKIFF_SERVICE_ACCOUNT') ?? 'skiff' },
    podName: environment.text('SKIFF_POD_NAME') ?? hostname(),
    databaseUrl,
    workloads: {
      image,
      imagePullPolicy: environment.oneOf('SKIFF_IMAGE_PULL_POLICY', ['Always', 'IfNotPresent', 'Never'], 'IfNotPresent'),
      imagePullSecrets: environment.list('SKIFF_IMAGE_PULL_SECRETS'),
      logLevel: logLevel === 'silent' ? 'error' : logLevel,
      database: podDatabase(databaseUrl),
      identity: { clientId: environment.text('AZURE_CLIENT_ID'), tenantId: environment.text('AZURE_TENANT_ID') },
      authorityHost: azureAuthorityHost,
      certificates: {
        database: databaseCaFile === undefined ? undefined : readCertificates('SKIFF_DATABASE_CA_FILE', databaseCaFile),
        trusted: readCertificates('NODE_EXTRA_CA_CERTS', environment.text('NODE_EXTRA_CA_CERTS')),
      },
      environment: {
        ...(allowedTargetRanges.length === 0 ? {} : { SKIFF_ALLOWED_TARGET_RANGES: allowedTargetRanges.join(',') }),
        ...podEnvironment(environment.text('SKIFF_POD_ENVIRONMENT')),
      },
      fsGroup: fsGroup === 0 ? undefined : fsGroup,
    },
  };
}

function kubeSource(environment: Environment): KubeConfigSource {
  const path = environment.text('KUBECONFIG');
  if (path !== undefined) return { kind: 'file', path };
  const host = environment.text('KUBERNETES_SERVICE_HOST');
  const port = environment.text('KUBERNETES_SERVICE_PORT');
  if (host === undefined || port === undefined) throw new ConfigurationError('there is no Kubernetes here: set KUBECONFIG, or run in a pod');
  const directory = environment.text('SKIFF_SERVICE_ACCOUNT_DIRECTORY');
  return { kind: 'inCluster', host, port, ...(directory === undefined ? {} : { directory }) };
}

/** A URL with a password goes into a Secret; without one the pods' identity is the proof, and nothing is secret. */
function podDatabase(databaseUrl: Secret<string>): WorkloadContext['database'] {
  const url = databaseUrl.reveal();
  if (URL.parse(url)?.password === '') return { kind: 'url', url };
  // It stands in Deployments, which more people may read than Secrets: not to be had by trying passwords.
  return { kind: 'secret', revision: scryptSync(url, 'skiff database url', 8).toString('hex') };
}

function readCertificates(name: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = errorCodeOf(cause) ?? 'unreadable';
    throw new ConfigurationError(`${name}: cannot read ${path} (${code})`);
  }
}

/** `{"HTTPS_PROXY": "http://proxy:3128"}` */
function podEnvironment(text: string | undefined): Readonly<Record<string, string>> {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfigurationError('SKIFF_POD_ENVIRONMENT must be a JSON object of strings');
  const entries = Object.entries(value).map(([name, content]): [string, string] => {
    if (typeof content !== 'string') throw new ConfigurationError(`SKIFF_POD_ENVIRONMENT: ${name} must be a string`);
    return [name, content];
  });
  return Object.fromEntries(entries);
}
