import { isDeepStrictEqual } from 'node:util';
import type { OutboxStatus } from '@skiff/database/operation-log';
import type { ResourceRepository } from '@skiff/database/resource-rows';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import { errorCodeOf } from '@skiff/model/error-code';
import { isTransient } from '@skiff/model/store-error';
import type { DesiredEndpoint, EndpointReadiness, EndpointSink } from '@skiff/operator/endpoint-sink';
import type { SecretReader } from '@skiff/router/secret-reader';
import type { Logger } from '@skiff/runtime/logger';
import type { Lease } from '@skiff/sftp-server/lease';
import { namedEventBusSecrets } from './event-bus.ts';
import type { ProcessParts } from './process-parts.ts';
import { type RunningRouter, startRouter } from './router-parts.ts';
import { type RunningServer, startSftpServer } from './server-parts.ts';

const PROBE_TIMEOUT_MS = 10_000;

interface Running {
  settings: EndpointSettings;
  readonly server: RunningServer;
  readonly router: RunningRouter | undefined;
  readonly hostKeys: string;
}

/** Runs endpoints in this very process: what a Deployment is in Kubernetes is an object here. */
export class InProcessSink implements EndpointSink {
  readonly #parts: ProcessParts;
  readonly #resources: ResourceRepository;
  readonly #lease: Lease;
  readonly #secrets: SecretReader;
  readonly #running = new Map<string, Running>();

  constructor(props: { readonly parts: ProcessParts; readonly resources: ResourceRepository; readonly lease: Lease; readonly secrets: SecretReader }) {
    this.#parts = props.parts;
    this.#resources = props.resources;
    this.#lease = props.lease;
    this.#secrets = props.secrets;
  }

  async apply(endpoint: DesiredEndpoint, signal: AbortSignal): Promise<EndpointReadiness> {
    const present = this.#running.get(endpoint.key);
    const hostKeys = endpoint.hostKeys.map((key) => key.fingerprint).join(' ');
    if (present !== undefined && needsRestart(present.settings, endpoint.settings)) await this.remove(endpoint.key);
    else if (present !== undefined) {
      if (!isDeepStrictEqual(present.settings, endpoint.settings)) present.server.server.updateSettings(endpoint.settings);
      if (present.hostKeys !== hostKeys) present.server.server.setHostKeys(endpoint.hostKeys.map((key) => key.privateKey));
      this.#running.set(endpoint.key, { ...present, settings: endpoint.settings, hostKeys });
    }
    if (!this.#running.has(endpoint.key)) {
      const failure = await this.#start(endpoint, hostKeys);
      if (failure !== undefined) return failure;
    }
    return this.#probe(endpoint.key, signal);
  }

  async #start(endpoint: DesiredEndpoint, hostKeys: string): Promise<EndpointReadiness | undefined> {
    const { settings } = endpoint;
    const logger: Logger = this.#parts.logger.child({ endpoint: endpoint.key });
    const endpointId = await this.#resources.endpointId(settings.namespace, settings.name);
    try {
      const eventBusSecrets = namedEventBusSecrets(settings, this.#secrets);
      const props = { settings, endpointId, lease: this.#lease, eventBusSecrets, logger };
      const server = await startSftpServer(this.#parts, { ...props, hostKeys: endpoint.hostKeys.map((key) => key.privateKey) });
      this.#running.set(endpoint.key, { settings, server, router: await startRouter(this.#parts, { ...props, secrets: this.#secrets }), hostKeys });
      return undefined;
    } catch (error) {
      if (isTransient(error)) throw error;
      const message = explainListenError(error, settings.port);
      if (message === undefined) throw error;
      return { kind: 'notReady', reason: 'ListenFailed', message };
    }
  }

  async #probe(key: string, signal: AbortSignal): Promise<EndpointReadiness> {
    const running = this.#running.get(key);
    if (running === undefined) return { kind: 'notReady', reason: 'Pending', message: 'is being replaced' };
    try {
      await running.server.store.probe(AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]));
      return { kind: 'ready' };
    } catch (error) {
      // The first line alone: the store puts a request id into the next one, and a message that always differs is a change each time.
      const [message = ''] = (error instanceof Error ? error.message : String(error)).split(/[\r\n]| ?RequestId:/);
      return { kind: 'notReady', reason: 'StorageUnavailable', message: `logins work, transfers fail: ${message}` };
    }
  }

  async remove(key: string): Promise<void> {
    const running = this.#running.get(key);
    if (running === undefined) return;
    this.#running.delete(key);
    await Promise.all([running.server.stop(), running.router?.stop()]);
  }

  running(): Promise<readonly string[]> {
    return Promise.resolve([...this.#running.keys()]);
  }

  get sessionCount(): number {
    return [...this.#running.values()].reduce((sum, { server }) => sum + server.server.sessionCount, 0);
  }

  /** Of all endpoints together. */
  async outbox(): Promise<OutboxStatus> {
    const all = await Promise.all([...this.#running.values()].map(({ server }) => server.outbox()));
    return {
      waiting: all.reduce((sum, { waiting }) => sum + waiting, 0),
      oldestAgeMs: Math.max(0, ...all.map(({ oldestAgeMs }) => oldestAgeMs)),
      refused: all.reduce((sum, { refused }) => sum + refused, 0),
    };
  }

  /** Nothing here changes by itself: the operator's resync asks again. */
  subscribe(): () => void {
    return () => undefined;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((key) => this.remove(key)));
  }
}

/** What a listener, a store or a queue cannot change while it runs. */
function needsRestart(before: EndpointSettings, after: EndpointSettings): boolean {
  return (['port', 'storage', 'events', 'authenticationMethods'] as const).some((field) => !isDeepStrictEqual(before[field], after[field]));
}

function explainListenError(error: unknown, port: number): string | undefined {
  switch (errorCodeOf(error)) {
    case 'EADDRINUSE':
      return `port ${port} is taken by another program: stop it, or set spec.service.port`;
    case 'EACCES':
      return `port ${port} needs more rights: set spec.service.port to 1024 or above, or grant CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
      return `the address to listen on (SKIFF_LISTEN_HOST) is not one of this machine`;
    default:
      return undefined;
  }
}
