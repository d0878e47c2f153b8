import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import { eventBusSecretsOf } from '@skiff/model/event-bus-secrets';
import { objectKey } from '@skiff/model/object-meta';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import { StoreError } from '@skiff/model/store-error';
import { completeConditions, type Obstacle, type ProgrammedState } from '@skiff/policy/complete-conditions';
import { eventBusObstacle } from '@skiff/policy/event-bus-obstacle';
import { translateEndpoint } from '@skiff/policy/translate-endpoint';
import type { EndpointReadiness } from '../endpoint-sink.ts';
import { HostKeyStoreError, type HostKeys } from '../host-keys/host-key-store.ts';
import { type ResolvedHostKeys, resolveHostKeys } from '../host-keys/resolve-host-keys.ts';
import { publishStatus } from '../publish-status.ts';
import { refFromKey, refOf, type StatusDetails } from '../resource-source.ts';
import { announceDelay, delayOf, toldOf } from './delayed-events.ts';
import type { ReconcileContext } from './reconcile-context.ts';
import { lookUpSecrets } from './secret-lookups.ts';

export interface EndpointResult {
  readonly retry: boolean;
  /** What was applied; undefined: nothing, or nothing new since the spec makes no sense. */
  readonly applied: { readonly settings: EndpointSettings; readonly hostKeys: HostKeys; readonly readiness: EndpointReadiness } | undefined;
  readonly removed: boolean;
}

/** Makes one endpoint run as its object says, or ends it, and tells the object what became of it. Its files are never touched. */
export async function reconcileEndpoint(
  context: ReconcileContext,
  request: { readonly key: string; readonly databaseProblem: string | undefined },
  signal: AbortSignal,
): Promise<EndpointResult> {
  const { source, sink } = context;
  const endpoint = source.endpoints().find(({ metadata }) => objectKey(metadata) === request.key && metadata.deletionTimestamp === undefined);
  if (endpoint === undefined) {
    const removed = !source.mayExist(refFromKey('SftpEndpoint', request.key));
    if (removed) await sink.remove(request.key, signal);
    return { retry: false, applied: undefined, removed };
  }
  const { settings, verdict: ofSpec } = translateEndpoint(endpoint);
  const hostKeys = await resolveHostKeys(source, endpoint);
  const outcome = settings === undefined ? undefined : await apply(context, { endpoint, settings, hostKeys }, signal);
  const keyProblem = hostKeys.obstacle ?? outcome?.applied?.hostKeys.problem;
  const verdict = {
    ...ofSpec,
    unresolved: ofSpec.unresolved ?? (await missingSecret(context, endpoint)) ?? keyProblem,
    eventsDelayed: await delayOf(context, endpoint),
  };
  const programmed = outcome === undefined ? NOTHING_APPLIED : programmedState(outcome.readiness, request.databaseProblem);
  const published = await publish();
  // What is pending is told of by a watch, and what is invalid waits for another spec: trying again helps neither.
  const readiness = outcome?.applied?.readiness;
  const failed = readiness?.kind === 'notReady' && readiness.reason !== 'Pending' && readiness.reason !== 'Invalid';
  return { retry: failed || outcome?.threw === true || !published, applied: outcome?.applied, removed: false };

  async function publish(): Promise<boolean> {
    if (endpoint === undefined) return true;
    try {
      const before = toldOf(source, endpoint);
      await publishStatus(context, refOf(endpoint), completeConditions(verdict, programmed), detailsOf(outcome, hostKeys));
      announceDelay(source, endpoint, { before, now: verdict.eventsDelayed });
      return true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      context.logger.warn({ endpoint: request.key, err: error }, 'status cannot be written');
      return false;
    }
  }
}

/** @throws {StoreError} when it cannot be said now. */
async function missingSecret({ source }: ReconcileContext, endpoint: SftpEndpoint): Promise<Obstacle | undefined> {
  const { namespace } = endpoint.metadata;
  const refs = Object.values(eventBusSecretsOf(endpoint.spec)).map((ref) => ({ namespace, ...ref }));
  return eventBusObstacle(endpoint, { lookUp: await lookUpSecrets(source, refs) });
}

/** Not shown: a spec that is refused gives its own reason. */
const NOTHING_APPLIED: ProgrammedState = { status: 'Unknown', reason: 'Pending', message: 'it is not in force' };

interface ApplyOutcome {
  readonly readiness: ApplyReadiness;
  readonly threw: boolean;
  readonly applied: EndpointResult['applied'];
}

type ApplyReadiness =
  | EndpointReadiness
  | { readonly kind: 'notReady'; readonly reason: 'SecretInvalid' | 'NamespaceAccessNotGranted'; readonly message: string; readonly address?: string };

/** Host keys of which nothing is known now stay as they were told. */
function detailsOf(outcome: ApplyOutcome | undefined, { obstacle }: ResolvedHostKeys): StatusDetails {
  const address = outcome?.readiness.address;
  const held = obstacle === undefined ? outcome?.applied?.hostKeys.held : undefined;
  const hostKeys = held?.map(({ name, state, key: { algorithm, fingerprint, publicKey } }) => ({ name, state, algorithm, fingerprint, publicKey }));
  return { ...(address === undefined ? {} : { address }), ...(hostKeys === undefined ? {} : { hostKeys }) };
}

interface ApplyInput {
  readonly endpoint: SftpEndpoint;
  readonly settings: EndpointSettings;
  readonly hostKeys: ResolvedHostKeys;
}

async function apply(context: ReconcileContext, input: ApplyInput, signal: AbortSignal): Promise<ApplyOutcome> {
  const { endpoint, settings } = input;
  const { metadata } = endpoint;
  const key = objectKey(metadata);
  try {
    const hostKeys = await context.hostKeys.ensure(metadata, input.hostKeys.wish, signal);
    if (hostKeys.generated.length > 0) {
      const message = `host keys made: ${hostKeys.generated.map((hostKey) => `${hostKey.algorithm} ${hostKey.fingerprint}`).join(', ')}`;
      context.source.recordEvent(refOf(endpoint), { type: 'Normal', reason: 'HostKeysGenerated', message });
    }
    const readiness = await context.sink.apply(
      { key, uid: metadata.uid, generation: metadata.generation, settings, spec: endpoint.spec, hostKeys: hostKeys.keys },
      signal,
    );
    return { readiness, threw: false, applied: { settings, hostKeys, readiness } };
  } catch (error) {
    signal.throwIfAborted();
    context.logger.error({ endpoint: key, err: error }, 'endpoint cannot be applied');
    const readiness: ApplyReadiness =
      error instanceof HostKeyStoreError
        ? { kind: 'notReady', reason: error.code === 'HostKeyAccessNotGranted' ? 'NamespaceAccessNotGranted' : 'SecretInvalid', message: error.message }
        : { kind: 'notReady', reason: 'Pending', message: 'it could not be applied; it is tried again, and the log says why' };
    // A change of the spec or of the Secret that it names brings the endpoint back by itself.
    const waits = error instanceof HostKeyStoreError && error.code === 'HostKeyMissing';
    return { readiness, threw: !waits, applied: undefined };
  }
}

function programmedState(readiness: ApplyReadiness, databaseProblem: string | undefined): ProgrammedState {
  // What the sink needs of the database it cannot have either: the known cause is the better answer.
  const caused = readiness.kind === 'notReady' && readiness.reason === 'Pending' && databaseProblem !== undefined;
  if (readiness.kind === 'notReady' && !caused) {
    const { reason, message } = readiness;
    return { status: reason === 'Pending' ? 'Unknown' : 'False', reason, message };
  }
  return databaseProblem === undefined ? { status: 'True' } : { status: 'False', reason: 'DatabaseUnavailable', message: databaseProblem };
}
