import type { HostKeyStatus } from './host-key.ts';

/** `metav1.Condition`. */
export interface Condition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: ConditionReason;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

/** A condition before it is known since when it holds. */
export type ConditionDraft = Omit<Condition, 'lastTransitionTime'>;

/**
 * `Accepted`: the spec makes sense. `ResolvedRefs`: what it names exists. `Programmed`: it is in force. `Ready`: the sum.
 * There only while they are so: `ClientAddressHidden`, source ranges cannot be judged by the pods; `EventsDelayed`, events wait for the
 * event bus, or it has refused some.
 */
export const CONDITION_TYPES = ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready', 'ClientAddressHidden', 'EventsDelayed'] as const;
export type ConditionType = (typeof CONDITION_TYPES)[number];

/** Constant words; troubleshooting in the docs is ordered by them. */
export const CONDITION_REASONS = [
  'Accepted',
  'ResolvedRefs',
  'Programmed',
  'Ready',
  'Pending',
  'Invalid',
  'EndpointNotFound',
  'NotAllowedByEndpoint',
  'UsernameConflict',
  'SecretNotFound',
  'SecretKeyNotFound',
  'SecretInvalid',
  'SecretAccessNotGranted',
  'DatabaseUnavailable',
  'StorageUnavailable',
  'ListenFailed',
  'NameConflict',
  'WorkloadFailed',
  'NamespaceAccessNotGranted',
  'Suspended',
  'Expired',
  'NoCredentials',
  'ClientAddressRewritten',
  'TrafficPolicyCluster',
  'EventsWaiting',
  'EventsRefused',
] as const;
export type ConditionReason = (typeof CONDITION_REASONS)[number];

/** Times are RFC 3339 with seconds, as `metav1.Time`. */
export interface RouteDeliveries {
  readonly succeeded: number;
  readonly retrying: number;
  readonly dead: number;
  readonly lastSuccessTime?: string;
  readonly lastFailureTime?: string;
  readonly lastFailureReason?: string;
}

export interface ResourceStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  /** SftpEndpoint: address that partners connect to. */
  readonly address?: string;
  /** SftpEndpoint: the keys that clients recognise it by. */
  readonly hostKeys?: readonly HostKeyStatus[];
  /** EventRoute: what its events came to. */
  readonly deliveries?: RouteDeliveries;
}
