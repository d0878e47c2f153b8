import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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
import { SkiffProcess } from '../support/skiff-process.ts';
import { AUDIT_POLICY } from './scenarios/audit-log.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** Where the operator would be installed, and its name there. */
const INSTALLED = { namespace: 'skiff-system', serviceAccount: 'skiff' };

const AUDIT_LOG = 'audit.log';

export interface Ran {
  readonly code: number;
  readonly output: string;
}

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
    for (const namespace of [INSTALLED.namespace, ...endpointNamespaces.filter((name) => name !== 'default')])
      await this.kubectl(['create', 'namespace', namespace]);
    await this.kubectl(['apply', '--server-side', '-f', join(ROOT, 'crds')]);
    await this.kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
    const values = [
      '--kube-version',
      '1.35.0',
      '--namespace',
      INSTALLED.namespace,
      '--set',
      'database.urlSecret.name=none',
      '--set',
      `namespaces.endpoints={${endpointNamespaces.join(',')}}`,
    ];
    const shown = ['--show-only', 'templates/rbac.yaml', '--show-only', 'templates/serviceaccount.yaml'];
    const rendered = await run(join(dirname(this.controlPlane.kubectl), 'helm'), ['template', 'skiff', join(ROOT, 'charts', 'skiff'), ...values, ...shown]);
    if (rendered.code !== 0) throw new Error(rendered.output);
    await this.kubectl(['apply', '-f', '-'], rendered.output);
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
    return (await this.kubectl(['create', 'token', INSTALLED.serviceAccount, '-n', INSTALLED.namespace, '--duration', '2h'])).output.trim();
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
  async kubectl(args: readonly string[], input = ''): Promise<Ran> {
    const ran = await this.tryKubectl(args, input);
    if (ran.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${ran.output}`);
    return ran;
  }

  tryKubectl(args: readonly string[], input = ''): Promise<Ran> {
    return run(this.controlPlane.kubectl, ['--kubeconfig', this.controlPlane.kubeconfigPath, ...args], input);
  }

  apply(...objects: readonly object[]): Promise<Ran> {
    return this.kubectl(['apply', '--server-side', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n'));
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

  /** Stands in for scheduler, kubelet and cloud: pods become ready, load balancers get an address. */
  async playCluster(namespace = 'default'): Promise<void> {
    const now = new Date().toISOString();
    const ready = { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: now }] } };
    const pods = (await this.kubectl(['get', 'pods', '-n', namespace, '-o', 'name'])).output.split('\n').filter((name) => name !== '');
    for (const pod of pods) await this.tryKubectl(['patch', pod, '-n', namespace, '--subresource=status', '--type=merge', '-p', JSON.stringify(ready)]);
    const balanced = { status: { loadBalancer: { ingress: [{ ip: '192.0.2.10' }] } } };
    const services = (await this.kubectl(['get', 'services', '-n', namespace, '-l', 'app.kubernetes.io/managed-by=skiff-operator', '-o', 'name'])).output;
    for (const service of services.split('\n').filter((name) => name !== ''))
      await this.tryKubectl(['patch', service, '-n', namespace, '--subresource=status', '--type=merge', '-p', JSON.stringify(balanced)]);
  }

  /** Requests that changed, or tried to change, any of these resources since the API server started. Leases are not counted. */
  async apiWrites(): Promise<number> {
    const text = await this.client.getRaw('/metrics', { signal: AbortSignal.timeout(20_000) });
    let writes = 0;
    for (const line of text.split('\n')) {
      if (!line.startsWith('apiserver_request_total{') || !WRITE_VERB.test(line) || !OUR_RESOURCES.test(line)) continue;
      writes += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
    return writes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#operators.map((operator) => operator.kill()));
    this.client.close();
    await this.database.close();
    await this.controlPlane.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const WRITE_VERB = /verb="(POST|PUT|PATCH|APPLY|DELETE)"/;
const OUR_RESOURCES =
  /resource="(sftpusers|sftpendpoints|eventroutes|configmaps|secrets|deployments|services|serviceaccounts|poddisruptionbudgets|horizontalpodautoscalers|networkpolicies|events)"/;

export interface SeenCondition {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export function conditionOf(object: KubeObject | undefined, type: string): SeenCondition | undefined {
  const conditions = isRecord(object?.status) && Array.isArray(object.status.conditions) ? object.status.conditions : [];
  const found: unknown = conditions.find((condition: unknown) => isRecord(condition) && condition.type === type);
  return isRecord(found) ? { status: String(found.status), reason: String(found.reason), message: String(found.message) } : undefined;
}

/** Waits until `check` gives the value. Returns the time that it took, ms. @throws {Error} that names what was seen last. */
export async function until<Value>(what: string, expected: Value, check: () => Promise<Value>, timeoutMs = 30_000): Promise<number> {
  const began = performance.now();
  for (;;) {
    const seen = await check();
    if (seen === expected) return Math.round(performance.now() - began);
    if (performance.now() - began > timeoutMs) throw new Error(`${what}: not ${String(expected)} within ${timeoutMs} ms, but ${String(seen)}`);
    await sleep(100);
  }
}

function clusterOf(kubeconfig: string): { readonly server: URL; readonly certificateAuthority: string } {
  const config: unknown = parse(kubeconfig);
  const first: unknown = isRecord(config) && Array.isArray(config.clusters) ? config.clusters[0] : undefined;
  const cluster = isRecord(first) && isRecord(first.cluster) ? first.cluster : {};
  const authority = Buffer.from(String(cluster['certificate-authority-data']), 'base64').toString('utf8');
  return { server: new URL(String(cluster.server)), certificateAuthority: authority };
}

async function run(command: string, args: readonly string[], input = ''): Promise<Ran> {
  const child = spawn(command, args, { stdio: 'pipe', timeout: 120_000 });
  let output = '';
  child.on('error', (error) => {
    output += error.message;
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code: Number(code ?? 1), output };
}
