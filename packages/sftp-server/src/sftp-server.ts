import { randomBytes } from 'node:crypto';
import type { InstanceRegistry, OperationLog } from '@skiff/database/operation-log';
import type { ResourceRepository } from '@skiff/database/resource-rows';
import type { EventPublisher } from '@skiff/messaging/event-bus';
import { type EndpointSettings, keepsOrder } from '@skiff/model/endpoint-settings';
import { emitsEvent } from '@skiff/model/event-types';
import { isPermitted } from '@skiff/model/permission';
import { toOperationId } from '@skiff/model/upload-state';
import { toJail } from '@skiff/model/virtual-path';
import type { BackgroundTask } from '@skiff/runtime/background-task';
import { startBackgroundTask } from '@skiff/runtime/background-task';
import type { Clock } from '@skiff/runtime/clock';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import { SftpError, SftpStatus } from '@skiff/sftp-protocol/sftp-error';
import {
  type Connection,
  createSshListener,
  type OpenedSession,
  type SshListener,
  type LoginAttempt as SshLoginAttempt,
  type LoginDecision as SshLoginDecision,
} from '@skiff/sftp-protocol/ssh-listener';
import type { FileStore } from '@skiff/storage/file-store';
import { Authenticator, type LoginResult, type VerifyPassword } from './authentication/authenticator.ts';
import { fingerprintOf } from './authentication/fingerprint.ts';
import { waitForDeadline } from './authentication/fixed-deadline.ts';
import type { Identity } from './authentication/identity.ts';
import { type LoginFailure, LoginReports } from './authentication/login-reports.ts';
import { BestEffortEvents } from './best-effort-events.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { Lease } from './lease.ts';
import { LiveUploads } from './operations/live-uploads.ts';
import type { OperationContext } from './operations/operation-context.ts';
import { ParkingLot } from './operations/parking-lot.ts';
import { LivenessView } from './recovery/liveness-view.ts';
import { sweep } from './recovery/sweeper.ts';
import { Relay } from './relay.ts';
import { noServerMetrics, type SftpServerMetrics } from './server-metrics.ts';
import { FileSession } from './session/file-session.ts';
import { type LiveSession, LiveSessions } from './session/live-sessions.ts';
import { SessionFiles } from './session/session-files.ts';
import { UserDirectory } from './user-directory.ts';

type Accepted = Extract<LoginResult, { readonly kind: 'accepted' }>;

const REFRESH_EVERY_MS = 1_000;
const RELAY_EVERY_MS = 1_000;
const SWEEP_EVERY_MS = 3_000;
/** Longest pauses after failures: what recovery and the outbox wait for is back within seconds. */
const LONGEST_PAUSE_MS = 5_000;
/** Parking what closed sessions have left behind. What is not parked by then is found by the end of the lease. */
const GIVE_UP_TIMEOUT_MS = 5_000;

export interface SftpServerProps {
  readonly settings: EndpointSettings;
  readonly endpointId: number;
  readonly store: FileStore;
  readonly log: OperationLog;
  readonly resources: ResourceRepository;
  readonly registry: InstanceRegistry;
  /** Of the process; whoever made it keeps it alive. */
  readonly lease: Lease;
  /** Absent: events go nowhere. */
  readonly publisher: EventPublisher | undefined;
  readonly hostKeys: readonly Secret<string>[];
  readonly verifyPassword: VerifyPassword;
  /** Of the process: all endpoints share it. */
  readonly budget: ByteBudget;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failpoints: Failpoints;
  readonly metrics?: SftpServerMetrics;
}

/** One endpoint's SFTP server: logins, sessions, uploads, recovery and the relay of its events. */
export class SftpServer {
  readonly #props: SftpServerProps;
  readonly #users: UserDirectory;
  readonly #authenticator: Authenticator;
  readonly #sessions = new LiveSessions();
  readonly #relay: Relay;
  readonly #bestEffort: BestEffortEvents;
  readonly #reports: LoginReports;
  readonly #context: OperationContext;
  readonly #liveness: LivenessView;
  readonly #listener: SshListener;
  #settings: EndpointSettings;
  #tasks: readonly BackgroundTask[] = [];

  constructor(props: SftpServerProps) {
    const { settings, endpointId, store, log, lease, clock, logger, failpoints, metrics = noServerMetrics } = props;
    const newOperationId = () => toOperationId(randomBytes(16));
    const emits = (type: string) => emitsEvent(this.#settings.eventTypes, type);
    this.#props = props;
    this.#settings = settings;
    this.#users = new UserDirectory({ repository: props.resources, endpointId, clock });
    this.#authenticator = new Authenticator({
      users: this.#users,
      verifyPassword: props.verifyPassword,
      endpoint: () => this.#settings,
      clock,
      logger,
    });
    const ordered = keepsOrder(settings);
    this.#relay = new Relay({ log, endpointId, instance: lease.instance, publisher: props.publisher, ordered, clock, logger, failpoints });
    this.#bestEffort = new BestEffortEvents({
      publisher: props.publisher,
      clock,
      logger,
      onDropped: (type, reason) => metrics.eventDropped(type, reason),
    });
    this.#reports = new LoginReports({ endpoint: settings, emits, events: this.#bestEffort, clock, newOperationId });
    this.#context = {
      endpoint: { id: endpointId, namespace: settings.namespace, name: settings.name },
      store,
      log,
      lease,
      parking: new ParkingLot(log, logger),
      uploads: new LiveUploads(),
      clock,
      logger,
      failpoints,
      newOperationId,
      emits,
      onDownloaded: (event) => this.#bestEffort.offer(event),
      onCommitted: (event, id, announced) => {
        const { path, username, sizeBytes } = event.data;
        logger.info({ event: event.id, type: event.type, user: username, path, sizeBytes, blob: event.data.blob.name }, 'operation committed');
        if (announced) this.#relay.offer(event, id);
      },
    };
    this.#liveness = new LivenessView(props.registry, clock);
    this.#listener = createSshListener<Identity>({
      hostKeys: props.hostKeys,
      methods: settings.authenticationMethods.map((method) => (method === 'PublicKey' ? 'publickey' : 'password')),
      authenticate: (attempt) => this.#login(attempt),
      openSession: (identity, connection) => this.#openSession(identity, connection),
      onClose: (identity, connection) => this.#onClose(identity, connection),
      logger,
    });
  }

  /** Reads the users, then listens. Rejects when the database is away or the port is taken. */
  async start(options: { readonly port: number; readonly host?: string }): Promise<void> {
    await this.#users.refresh();
    await this.#listener.listen(options.port, options.host);
    const { logger } = this.#props;
    this.#tasks = [
      startBackgroundTask({ name: 'users', intervalMs: REFRESH_EVERY_MS, maxPauseMs: LONGEST_PAUSE_MS, logger, run: () => this.#refreshUsers() }),
      startBackgroundTask({ name: 'relay', intervalMs: RELAY_EVERY_MS, maxPauseMs: LONGEST_PAUSE_MS, logger, run: () => this.#pollOutbox() }),
      startBackgroundTask({
        name: 'recovery',
        intervalMs: SWEEP_EVERY_MS,
        maxPauseMs: LONGEST_PAUSE_MS,
        logger,
        run: () => sweep(this.#context, this.#liveness),
      }),
    ];
    logger.info({ port: this.#listener.port, users: this.#users.size, storage: this.#props.store.identity }, 'SFTP server listening');
  }

  get port(): number {
    return this.#listener.port;
  }

  get sessionCount(): number {
    return this.#sessions.count;
  }

  /** Takes what can change without a restart: authentication methods stay those of the listener, the rest holds from now on. */
  updateSettings(settings: EndpointSettings): void {
    this.#settings = settings;
    this.#judgeAll();
  }

  setHostKeys(hostKeys: readonly Secret<string>[]): void {
    this.#listener.setHostKeys(hostKeys);
  }

  /** Accepts no more, lets transfers finish for at most `graceMs`, and gives up what is left. */
  async stop(options: { readonly graceMs: number }): Promise<void> {
    await this.#listener.close(options);
    await this.#context.uploads.idle(GIVE_UP_TIMEOUT_MS);
    for (const task of this.#tasks) await task.stop();
    await this.#relay.idle();
    await this.#bestEffort.stop();
  }

  async #login(attempt: SshLoginAttempt): Promise<SshLoginDecision<Identity>> {
    if (attempt.method === 'none') return { kind: 'deny' };
    const startedAt = this.#props.clock.monotonicMs();
    const result = await this.#decide(attempt);
    if (result.kind === 'accepted') {
      this.#reports.accepted(attempt, result.identity);
      return { kind: 'accept', identity: result.identity };
    }
    await waitForDeadline(this.#props.clock, startedAt);
    if (result.reason !== undefined) this.#reports.refused(attempt, result.reason);
    return { kind: 'deny' };
  }

  /** A refusal without a reason: the request was none. */
  async #decide(attempt: SshLoginAttempt): Promise<Accepted | { readonly kind: 'denied'; readonly reason: LoginFailure | undefined }> {
    const { username, remoteAddress, key, password } = attempt;
    if (this.#sessions.count >= this.#settings.maxSessions) {
      this.#props.logger.warn({ user: username, clientAddress: remoteAddress, maxSessions: this.#settings.maxSessions }, 'login refused: too many sessions');
      return { kind: 'denied', reason: 'TooManySessions' };
    }
    if (key !== undefined) {
      if (key.state === 'refuted') return { kind: 'denied', reason: 'SignatureWrong' };
      const keyBlob = key.blob.toString('base64');
      const credential = { method: 'PublicKey', keyBlob, fingerprint: fingerprintOf(key.blob), proven: key.state === 'proven' } as const;
      return this.#authenticator.authenticate({ username, remoteAddress, credential });
    }
    if (password === undefined) return { kind: 'denied', reason: undefined };
    return this.#authenticator.authenticate({ username, remoteAddress, credential: { method: 'Password', password } });
  }

  #openSession(identity: Identity, connection: Connection): OpenedSession {
    const reason = this.#judge({ identity, connection });
    // The user may have changed between the login and this channel.
    if (reason !== undefined) throw new SftpError(SftpStatus.permissionDenied, reason);
    const { user, username } = identity;
    const permissions = () => (this.#users.find(username) ?? user).permissions ?? undefined;
    const prefix = this.#settings.storage.kind === 'azureBlob' ? this.#settings.storage.prefix : '';
    const logger = this.#props.logger.child({ connection: connection.id, user: username });
    const files = new SessionFiles({
      context: { ...this.#context, logger },
      budget: this.#props.budget,
      user: { username, jail: toJail(prefix, user.home), permissions },
      clientAddress: connection.remoteAddress,
      logger,
    });
    this.#sessions.add({ identity, connection });
    const { clientVersion, remoteAddress } = connection;
    logger.info({ clientAddress: remoteAddress, clientVersion, credential: identity.credentialName }, 'session opened');
    return {
      backend: new FileSession(files),
      gate: (request) => {
        for (const path of request.target === undefined ? [request.path] : [request.path, request.target]) {
          const missing = request.permissions.find((permission) => !isPermitted(permissions(), permission, path));
          if (missing !== undefined) return new SftpError(SftpStatus.permissionDenied, `${path}: ${missing} is not permitted here`);
        }
        return undefined;
      },
    };
  }

  #onClose(identity: Identity, connection: Connection): void {
    this.#sessions.remove(connection.id);
    this.#props.logger.info({ connection: connection.id, user: identity.username }, 'session closed');
  }

  async #refreshUsers(): Promise<void> {
    const changed = await this.#users.refresh();
    if (changed.length > 0) this.#props.logger.info({ changed: changed.length, users: this.#users.size }, 'users changed');
    this.#judgeAll();
  }

  /** Every session must still be let in by what it came in by; times pass even when no row changes. */
  #judgeAll(): void {
    const ended = this.#sessions.endWhere((session) => this.#judge(session));
    if (ended > 0) this.#props.logger.info({ sessions: ended }, 'sessions ended after a change');
  }

  #judge({ identity, connection }: LiveSession): string | undefined {
    const denial = this.#authenticator.judge(identity, connection.remoteAddress);
    const moved = denial === undefined && (this.#users.find(identity.username)?.home ?? identity.user.home) !== identity.user.home;
    if (denial === undefined && !moved) return undefined;
    this.#props.logger.info({ connection: connection.id, user: identity.username, reason: denial ?? 'HomeChanged' }, 'login no longer holds');
    return 'your access to this server has changed; log in again or ask its operator';
  }

  async #pollOutbox(): Promise<void> {
    const sent = await this.#relay.poll();
    if (sent > 0) this.#props.logger.info({ events: sent }, 'events published from the outbox');
  }
}
