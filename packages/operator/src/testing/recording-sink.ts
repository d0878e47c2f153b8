import type { DesiredEndpoint, EndpointReadiness, EndpointSink } from '../endpoint-sink.ts';
import type { HostKeyStore } from '../host-keys/host-key-store.ts';

/** A sink that runs nothing and remembers everything. */
export class RecordingSink implements EndpointSink {
  readiness: EndpointReadiness = { kind: 'ready' };
  readonly applied = new Map<string, DesiredEndpoint>();
  readonly removed: string[] = [];
  readonly #listeners = new Set<(key: string) => void>();

  apply(endpoint: DesiredEndpoint): Promise<EndpointReadiness> {
    this.applied.set(endpoint.key, endpoint);
    return Promise.resolve(this.readiness);
  }

  remove(key: string): Promise<void> {
    if (this.applied.delete(key)) this.removed.push(key);
    return Promise.resolve();
  }

  running(): Promise<readonly string[]> {
    return Promise.resolve([...this.applied.keys()]);
  }

  subscribe(listener: (key: string) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** As when a listener failed or a Deployment became available. */
  tell(key: string): void {
    for (const listener of this.#listeners) listener(key);
  }
}

/** For tests in which nobody connects. */
export const noHostKeys: HostKeyStore = { ensure: () => Promise.resolve({ keys: [], held: [], generated: [] }) };
