import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTestDatabase, type TestDatabase } from '@skiff/database/testing';
import { createKubeClient } from '@skiff/kube/http-kube-client';
import type { KubeClient } from '@skiff/kube/kube-client';
import { loadKubeTarget } from '@skiff/kube/kube-config';
import type { KubeObject } from '@skiff/kube/kube-object';
import type { ResourceType } from '@skiff/kube/resource-type';
import { isRecord } from '@skiff/model/is-record';
import type { Secret } from '@skiff/runtime/secret';
import { parse } from 'yaml';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import { kubectl, type Ran, tryKubectl } from '../cluster/kubectl.ts';
import { SkiffProcess } from '../support/skiff-process.ts';
import { countApiWrites } from './api-writes.ts';
import { conditionOf } from './conditions.ts';
import { INSTALLED, installOperator } from './install-operator.ts';
import { AUDIT_POLICY } from './scenarios/audit-log.ts';

const AUDIT_LOG = 'audit.log';

export interface OperatorRigProps {
  /** Where the chart lets the operator run endpoints. */
  readonly endpointNamespaces: readonly string[];
  /** The API server keeps a log of every write of the operator's, see `scenarios/audit-log.ts`. A given cluster is then not used. */
  readonly audited?: boolean;
}

export interface OperatorProcessProps {
  /** The program's main module. Default: that of the sources. */
  readonly main?: string;
  /** In place of the rig's own. */
  readonly databaseUrl?: Secret<string>;
  /** Where the API server is reached, such as a proxy. Default: where it is. */
  readonly apiPort?: number;
  /** A token of its own, by which the API server's audit log tells the process apart. */
  readonly token?: string;
  readonly healthPort?: number;
}

/** A bare control plane with CRDs and the chart's RBAC, and a database: the operator runs on it as the ServiceAccount of an installation. */
export class OperatorRig implements AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly database: TestDatabase;
  /** As cluster admin. */
  readonly client: KubeClient;
  readonly #folder: string;
  readonly #operators: SkiffProcess[] = [];
  #server = new URL('https://localhost');
  #certificateAuthority = '';

  private constructor(props: { readonly controlPlane: ControlPlane; readonly database: TestDatabase; readonly client: KubeClient; readonly folder: string }) {
    this.controlPlane = props.controlPlane;
    this.database = props.database;
    this.client = props.client;
    this.#folder = props.folder;
  }

  static async start({ endpointNamespaces, audited = false }: OperatorRigProps): Promise<OperatorRig> {
    const folder = await mkdtemp(join(tmpdir(), 'skiff-operator-test-'));
    const policy = join(folder, 'audit-policy.yaml');
    await writeFile(policy, AUDIT_POLICY);
    const apiServerArgs = [`--audit-policy-file=${policy}`, `--audit-log-path=${join(folder, AUDIT_LOG)}`];
    const database = await openTestDatabase();
    const controlPlane = await startControlPlane(audited ? { apiServerArgs } : {}).catch(async (error: unknown) => {
      await database.close();
      await rm(folder, { recursive: true, force: true });
      throw error;
    });
    const client = createKubeClient(await loadKubeTarget({ kind: 'file', path: controlPlane.kubeconfigPath }));
    const rig = new OperatorRig({ controlPlane, database, client, folder });
    try {
      await rig.#install(endpointNamespaces);
      return rig;
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #install(endpointNamespaces: readonly string[]): Promise<void> {
    await installOperator(this.controlPlane, endpointNamespaces);
    const { server, certificateAuthority } = clusterOf(this.controlPlane.kubeconfig);
    this.#server = server;
    this.#certificateAuthority = certificateAuthority;
    await this.#writeAccount(this.#folder, await this.newToken());
  }

  /** Path of the audit log. */
  get auditLog(): string {
    return join(this.#folder, AUDIT_LOG);
  }

  /** As the condition's message tells people to. */
  async letReadSecrets(namespaces: readonly string[]): Promise<void> {
    const account = `--serviceaccount=${INSTALLED.namespace}:${INSTALLED.serviceAccount}`;
    for (const namespace of namespaces)
      await this.kubectl(['create', 'rolebinding', 'skiff-secret-reader', '--clusterrole=skiff-secret-reader', account, '-n', namespace]);
  }

  /** Where the API server listens. */
  get server(): URL {
    return this.#server;
  }

  /** A token of the operator's ServiceAccount; each has an id of its own. */
  async newToken(): Promise<string> {
    return (await this.kubectl(['create', 'token', INSTALLED.serviceAccount, '-n', INSTALLED.namespace, '--duration', '2h'])).trim();
  }

  async #writeAccount(folder: string, token: string): Promise<void> {
    const files = { token, 'ca.crt': this.#certificateAuthority, namespace: INSTALLED.namespace };
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content, { mode: 0o600 });
  }

  /** Starts `skiff operator` as a pod of the chart would. */
  async startOperator(name: string, props: OperatorProcessProps = {}): Promise<SkiffProcess> {
    const { main, databaseUrl = this.database.url, apiPort, token, healthPort } = props;
    const account = token === undefined ? this.#folder : await mkdtemp(join(this.#folder, `${name}-`));
    if (token !== undefined) await this.#writeAccount(account, token);
    const operator = new SkiffProcess({
      ...(main === undefined ? {} : { main }),
      args: ['operator'],
      env: {
        KUBERNETES_SERVICE_HOST: this.#server.hostname,
        KUBERNETES_SERVICE_PORT: apiPort === undefined ? this.#server.port : String(apiPort),
        SKIFF_SERVICE_ACCOUNT_DIRECTORY: account,
        SKIFF_NAMESPACE: INSTALLED.namespace,
        SKIFF_SERVICE_ACCOUNT: INSTALLED.serviceAccount,
        SKIFF_POD_NAME: name,
        SKIFF_IMAGE: 'skiff.example/skiff:test',
        SKIFF_DATABASE_URL: databaseUrl.reveal(),
        ...(healthPort === undefined ? {} : { SKIFF_HEALTH_PORT: String(healthPort) }),
      },
    });
    this.#operators.push(operator);
    return operator;
  }

  /** @throws {Error} with what kubectl said, when it fails. */
  kubectl(args: readonly string[], input = ''): Promise<string> {
    return kubectl(this.controlPlane, args, input);
  }

  tryKubectl(args: readonly string[], input = ''): Promise<Ran> {
    return tryKubectl(this.controlPlane, args, input);
  }

  async apply(...objects: readonly object[]): Promise<void> {
    await this.kubectl(['apply', '--server-side', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n'));
  }

  async get(type: ResourceType, name: string, namespace = 'default'): Promise<KubeObject | undefined> {
    try {
      return await this.client.get(type, { namespace, name }, { signal: AbortSignal.timeout(10_000) });
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'notFound') return undefined;
      throw error;
    }
  }

  /** `True Ready` of an object's condition; empty: it has none. */
  async condition(type: ResourceType, name: string, condition: string, namespace = 'default'): Promise<string> {
    const found = conditionOf(await this.get(type, name, namespace), condition);
    return found === undefined ? '' : `${found.status} ${found.reason}`;
  }

  apiWrites(): Promise<number> {
    return countApiWrites(this.client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#operators.map((operator) => operator.kill()));
    this.client.close();
    await this.database.close();
    await this.controlPlane.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function clusterOf(kubeconfig: string): { readonly server: URL; readonly certificateAuthority: string } {
  const config: unknown = parse(kubeconfig);
  const first: unknown = isRecord(config) && Array.isArray(config.clusters) ? config.clusters[0] : undefined;
  const cluster = isRecord(first) && isRecord(first.cluster) ? first.cluster : {};
  const authority = Buffer.from(String(cluster['certificate-authority-data']), 'base64').toString('utf8');
  return { server: new URL(String(cluster.server)), certificateAuthority: authority };
}
