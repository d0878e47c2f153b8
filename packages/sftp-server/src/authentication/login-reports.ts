import { eventSource } from '@skiff/model/file-event';
import { type LoginEvent, type LoginEventData, MAX_TOLD_USERNAME } from '@skiff/model/login-event';
import type { OperationId } from '@skiff/model/upload-state';
import { eventIdOf } from '@skiff/model/upload-state';
import type { Clock } from '@skiff/runtime/clock';
import type { LoginAttempt } from '@skiff/sftp-protocol/ssh-listener';
import type { BestEffortEvents } from '../best-effort-events.ts';
import type { LoginDenial } from './authenticator.ts';
import { FailureRate } from './failure-rate.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { Identity } from './identity.ts';

export type LoginFailure = LoginDenial | 'SignatureWrong' | 'TooManySessions';

export interface LoginReportsProps {
  readonly endpoint: { readonly namespace: string; readonly name: string };
  readonly emits: (type: LoginEvent['type']) => boolean;
  readonly events: Pick<BestEffortEvents, 'offer' | 'drop'>;
  readonly clock: Clock;
  readonly newOperationId: () => OperationId;
}

/** A key that was only asked about is refused: that is a failed login if the connection never has a better one. */
interface Trail {
  refused: { readonly attempt: LoginAttempt; readonly reason: LoginFailure } | undefined;
}

/** Makes events of logins. A client that offers five keys before the right one has not failed four times. */
export class LoginReports {
  readonly #props: LoginReportsProps;
  readonly #rate: FailureRate;
  /** By the signal that a connection's attempts share; gone with it. */
  readonly #trails = new WeakMap<AbortSignal, Trail>();

  constructor(props: LoginReportsProps) {
    this.#props = props;
    this.#rate = new FailureRate(props.clock);
  }

  accepted(attempt: LoginAttempt, identity: Identity): void {
    // Accepting a key that is only asked about lets nobody in, and a decision that nobody waits for any more neither.
    if (attempt.key?.state === 'offered' || attempt.signal.aborted) return;
    this.#trailOf(attempt.signal).refused = undefined;
    if (this.#props.emits('dev.skiff.login.succeeded')) this.#offer('dev.skiff.login.succeeded', attempt, { credential: identity.credentialName });
  }

  refused(attempt: LoginAttempt, reason: LoginFailure): void {
    if (attempt.method === 'none') return;
    const trail = this.#trailOf(attempt.signal);
    if (attempt.key?.state === 'offered' && !attempt.signal.aborted) {
      trail.refused = { attempt, reason };
      return;
    }
    trail.refused = undefined;
    this.#failed(attempt, reason);
  }

  #trailOf(signal: AbortSignal): Trail {
    const known = this.#trails.get(signal);
    if (known !== undefined) return known;
    const trail: Trail = { refused: undefined };
    this.#trails.set(signal, trail);
    signal.addEventListener(
      'abort',
      () => {
        if (trail.refused !== undefined) this.#failed(trail.refused.attempt, trail.refused.reason);
        trail.refused = undefined;
      },
      { once: true },
    );
    return trail;
  }

  #failed(attempt: LoginAttempt, reason: LoginFailure): void {
    const type = 'dev.skiff.login.failed';
    if (!this.#props.emits(type)) return;
    if (this.#rate.admit(attempt.remoteAddress)) this.#offer(type, attempt, { reason });
    else this.#props.events.drop(type, 'RateLimited');
  }

  #offer(type: LoginEvent['type'], attempt: LoginAttempt, result: Pick<LoginEventData, 'credential' | 'reason'>): void {
    const { endpoint, events, clock, newOperationId } = this.#props;
    const username = toldUsername(attempt.username);
    events.offer({
      specversion: '1.0',
      id: eventIdOf(newOperationId()),
      source: eventSource(endpoint),
      type,
      ...(username === '' ? {} : { subject: username }),
      time: clock.now().toISOString(),
      datacontenttype: 'application/json',
      data: {
        endpoint: { namespace: endpoint.namespace, name: endpoint.name },
        username,
        clientAddress: attempt.remoteAddress,
        method: attempt.method === 'publickey' ? 'PublicKey' : 'Password',
        ...(attempt.key === undefined ? {} : { keyFingerprint: fingerprintOf(attempt.key.blob) }),
        ...result,
      },
    });
  }
}

/** What anybody may have sent, fit for logs and terminals: no control, format, private or unpaired characters, no line breaks, and not long. */
export function toldUsername(username: string): string {
  let told = '';
  for (const character of username.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\uFFFD')) {
    if (told.length + character.length > MAX_TOLD_USERNAME) break;
    told += character;
  }
  return told;
}
