import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import { eventBusSecretsOf } from '@skiff/model/event-bus-secrets';
import type { SftpEndpoint, SftpEndpointSpec } from '@skiff/model/sftp-endpoint';
import { PathError, toJail } from '@skiff/model/virtual-path';
import { parseCidr } from '../source-ranges.ts';
import { hiddenClientAddress } from './client-address.ts';
import type { Verdict } from './complete-conditions.ts';

export interface TranslatedEndpoint {
  /** Undefined where the spec makes no sense: what runs goes on as it is. */
  readonly settings: EndpointSettings | undefined;
  readonly verdict: Verdict;
}

/** Fills in the defaults of an endpoint and checks what its schema cannot. Pure. */
export function translateEndpoint(endpoint: SftpEndpoint): TranslatedEndpoint {
  const { spec, metadata } = endpoint;
  const errors = CHECKS.map((check) => check(spec)).filter((message) => message !== undefined);
  const storage = errors.length === 0 ? storageSettings(spec.storage) : undefined;
  const verdict = { observedGeneration: metadata.generation, unresolved: undefined, notReady: undefined };
  if (storage === undefined) {
    return { settings: undefined, verdict: { ...verdict, refused: { reason: 'Invalid', message: errors.join('; ') }, inForce: false } };
  }
  const settings: EndpointSettings = {
    namespace: metadata.namespace,
    name: metadata.name,
    port: spec.service?.port ?? 22,
    authenticationMethods: [...(spec.authentication?.methods ?? ['PublicKey', 'Password'])],
    ...(spec.service?.clientAddress === 'Rewritten' ? { clientAddress: 'Rewritten' } : {}),
    allowedSourceRanges: spec.allowedSourceRanges === undefined ? null : [...spec.allowedSourceRanges],
    storage,
    events: eventSettings(spec.events),
    ...(spec.events?.types === undefined ? {} : { eventTypes: [...spec.events.types] }),
    maxSessions: spec.limits?.maxSessions ?? 500,
  };
  return { settings, verdict: { ...verdict, refused: undefined, inForce: true, addressHidden: hiddenClientAddress(endpoint) } };
}

/** One thing that can be wrong with a spec: the message for its owner, or undefined. */
type Check = (spec: SftpEndpointSpec) => string | undefined;

const sourceRangesAreRanges: Check = (spec) => {
  const wrong = spec.allowedSourceRanges?.find((range) => parseCidr(range) === undefined);
  return wrong === undefined ? undefined : `allowedSourceRanges: ${wrong} is neither an address nor a range such as 192.0.2.0/24`;
};

/** A prefix that climbs would put users' homes outside the place that was given to them. */
const prefixIsAPath: Check = (spec) => {
  try {
    toJail(spec.storage.azureBlob?.prefix ?? '', '');
    return undefined;
  } catch (error) {
    if (!(error instanceof PathError)) throw error;
    return `storage.azureBlob.prefix: ${error.message}`;
  }
};

const storageIsOneKind: Check = ({ storage }) =>
  (storage.azureBlob === undefined) === (storage.local === undefined) ? 'storage: give exactly one of azureBlob and local' : undefined;

const eventsAreOneKind: Check = ({ events }) =>
  events !== undefined && (events.serviceBus === undefined) === (events.amqp === undefined)
    ? 'events: give exactly one of serviceBus and amqp, or leave events out'
    : undefined;

/** The CRD says so too; a folder of manifests has no CRD. */
const brokerIsReached: Check = ({ events }) => {
  const { url, tls } = events?.amqp ?? {};
  if (url !== undefined && URL.parse(url) === null) return 'events.amqp.url: it is not a URL';
  return tls !== undefined && url?.startsWith('amqps://') !== true ? 'events.amqp: tls goes with amqps:// only' : undefined;
};

/** The CRD says so too; a folder of manifests has no CRD. */
const orderIsKept: Check = ({ events }) =>
  events?.ordering === 'PerPath' && events.serviceBus === undefined ? 'events.ordering: PerPath needs serviceBus, whose queues have sessions' : undefined;

const loadBalancerRangesAreRanges: Check = (spec) => {
  const wrong = spec.service?.loadBalancerSourceRanges?.find((range) => parseCidr(range) === undefined);
  return wrong === undefined ? undefined : `service.loadBalancerSourceRanges: ${wrong} is neither an address nor a range such as 192.0.2.0/24`;
};

/** The CRD says so too; a folder of manifests has no CRD. */
const replicasHaveOrder: Check = ({ autoscaling }) =>
  autoscaling !== undefined && autoscaling.maxReplicas < (autoscaling.minReplicas ?? 2)
    ? 'autoscaling: maxReplicas must not be below minReplicas (2 when absent)'
    : undefined;

const selectorGoesWithFrom: Check = ({ allowedUsers }) => {
  const { from, selector } = allowedUsers?.namespaces ?? {};
  return (from === 'Selector') === (selector !== undefined)
    ? undefined
    : 'allowedUsers.namespaces: selector is required for from: Selector, and goes with nothing else';
};

const rewrittenNamesItsSource: Check = ({ service, allowedSourceRanges }) =>
  service?.clientAddress === 'Rewritten' && allowedSourceRanges === undefined
    ? 'service.clientAddress: Rewritten needs allowedSourceRanges: the addresses of what rewrites'
    : undefined;

const oneHostKeyIsActive: Check = ({ hostKeys }) =>
  hostKeys === undefined || hostKeys.some(({ state }) => state === 'Active') ? undefined : 'hostKeys: at least one host key must be Active';

const CHECKS: readonly Check[] = [
  sourceRangesAreRanges,
  loadBalancerRangesAreRanges,
  storageIsOneKind,
  prefixIsAPath,
  eventsAreOneKind,
  brokerIsReached,
  orderIsKept,
  replicasHaveOrder,
  selectorGoesWithFrom,
  rewrittenNamesItsSource,
  oneHostKeyIsActive,
];

function storageSettings({ azureBlob, local }: SftpEndpointSpec['storage']): EndpointSettings['storage'] | undefined {
  if (azureBlob === undefined) return local === undefined ? undefined : { kind: 'local', path: local.path };
  const { account, container, prefix, endpoint } = azureBlob;
  const url = endpoint ?? `https://${account}.blob.core.windows.net`;
  // `/in//`, `in/` and `in` are the same place, written one way so that it never counts as a change.
  return { kind: 'azureBlob', account, container, prefix: toJail(prefix ?? '', ''), endpoint: url.replace(/\/+$/, '') };
}

function eventSettings(events: SftpEndpointSpec['events']): EndpointSettings['events'] {
  if (events?.amqp !== undefined) {
    const { url, address, deadLetterAddress, authentication } = events.amqp;
    const secrets = { ...eventBusSecretsOf({ events }) };
    return { kind: 'amqp', url, address, deadLetterAddress: deadLetterAddress ?? null, username: authentication?.username ?? null, secrets };
  }
  if (events?.serviceBus === undefined) return null;
  const { namespace, queue, endpoint } = events.serviceBus;
  const ordering = events.ordering ?? 'None';
  return { kind: 'serviceBus', namespace: namespace.toLowerCase(), queue, endpoint: endpoint ?? null, ordering };
}
