import type { ConditionReason } from '@skiff/model/condition';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { SftpEndpointSpec } from '@skiff/model/sftp-endpoint';
import type { HostKey } from './host-keys/host-key-store.ts';

/** One endpoint as it should run. */
export interface DesiredEndpoint {
  /** `namespace/name`. */
  readonly key: string;
  readonly uid: string;
  readonly generation: number;
  readonly settings: EndpointSettings;
  /** For what concerns pods and Services, of which the settings say nothing. */
  readonly spec: SftpEndpointSpec;
  readonly hostKeys: readonly HostKey[];
}

/** Whether it does. `Pending`: it will, nothing is wrong yet. */
export type EndpointReadiness = { /** What partners connect to, where that is known. */ readonly address?: string } & (
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'notReady';
      readonly reason: Extract<ConditionReason, NotReadyReason>;
      readonly message: string;
    }
);

type NotReadyReason =
  | 'Pending'
  | 'Invalid'
  | 'ListenFailed'
  | 'NameConflict'
  | 'NamespaceAccessNotGranted'
  | 'WorkloadFailed'
  | 'StorageUnavailable'
  | 'DatabaseUnavailable';

/**
 * What makes endpoints run: SFTP servers and routers in this process (standalone), or Deployments and what belongs to them.
 * Level-based: `apply` is called again and again with the same thing and then does nothing but answer.
 */
export interface EndpointSink {
  /** @throws anything when it cannot say now; the operator logs it and tries again with a back-off. */
  apply(endpoint: DesiredEndpoint, signal: AbortSignal): Promise<EndpointReadiness>;
  /** Ends what runs; never touches files, blobs, host keys or events. Unknown keys are no error. */
  remove(key: string, signal: AbortSignal): Promise<void>;
  /** Keys of what runs, so that endpoints which went while the operator was away are removed too. */
  running(): Promise<readonly string[]>;
  /** Calls back with the key of an endpoint whose readiness may have changed; `apply` is then asked again. */
  subscribe(listener: (key: string) => void): () => void;
}
