import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Logger } from '@skiff/runtime/logger';
import type { AuthContext, Connection as Client, Session } from 'ssh2';
import { FlowBudget, type SftpLimits } from '../dispatch/flow-budget.ts';
import { SftpSession } from '../dispatch/sftp-session.ts';
import { RawChannel } from '../ssh2-private/raw-channel.ts';
import type { GuardedTransport } from '../ssh2-private/transport-guard.ts';
import type { WindowBudget } from '../ssh2-private/window-budget.ts';
import { Login } from './login.ts';
import type { Connection, ListenerLimits, LoginAttempt, LoginDecision, SshListenerOptions } from './ssh-listener.ts';

/** Time for the last words to reach the peer. */
const GOODBYE_MS = 1000;

export interface SshConnectionOptions<Identity> {
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly limits: ListenerLimits;
  readonly sftpLimits: SftpLimits;
  readonly windowBudget: WindowBudget;
  readonly application: SshListenerOptions<Identity>;
  readonly onLoggedIn: () => void;
  readonly onClosed: () => void;
}

/** One TCP connection from its first to its last byte. */
export class SshConnection<Identity> implements Connection {
  readonly id = randomUUID();
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #options: SshConnectionOptions<Identity>;
  readonly #logger: Logger;
  readonly #gone = new AbortController();
  readonly #sessions = new Set<SftpSession>();
  readonly #budget: FlowBudget;
  #clientVersion = '';
  #transport: GuardedTransport | undefined;
  #login: { readonly identity: Identity } | undefined;
  #timer: NodeJS.Timeout;
  #channels = 0;
  #activeAtMs = performance.now();

  constructor(options: SshConnectionOptions<Identity>) {
    this.#options = options;
    const { socket, limits, application } = options;
    this.remoteAddress = options.remoteAddress;
    this.remotePort = socket.remotePort ?? 0;
    this.#logger = application.logger.child({ connection: this.id, remoteAddress: this.remoteAddress });
    this.#budget = new FlowBudget(options.sftpLimits.maxInFlightBytes);
    this.#timer = setTimeout(() => this.#end('identification took too long'), limits.identificationTimeoutMs);
    socket.once('close', () => this.#closed());
  }

  get clientVersion(): string {
    return this.#clientVersion;
  }

  get isLoggedIn(): boolean {
    return this.#login !== undefined;
  }

  get busy(): boolean {
    return [...this.#sessions].some((session) => session.busy);
  }

  /** When its client last sent or was sent something of SFTP, by `performance.now()`. */
  get activeAtMs(): number {
    return this.#activeAtMs;
  }

  disconnect(text: string): void {
    this.#logger.info({ reason: text }, 'connection ended by the server');
    this.#end(text);
  }

  /** The client has sent its identification; everything of SSH follows. */
  identified(client: Client, transport: GuardedTransport, identification: string): void {
    client.on('error', (err) => this.#failed(err));
    const { limits, application, remoteAddress } = this.#options;
    this.#clientVersion = identification;
    this.#transport = transport;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.disconnect('login took too long'), limits.loginGraceMs);
    const login = new Login<Identity>({
      methods: application.methods,
      maxTries: limits.maxAuthTries,
      remoteAddress,
      signal: this.#gone.signal,
      authenticate: (attempt) => this.#ask(attempt),
    });
    client.on('authentication', (context) => void this.#authenticate(login, context, transport));
    client.on('session', (accept, reject) => this.#openChannel(accept, reject, transport));
    // Without a listener ssh2 ignores no-more-sessions@openssh.com; forwarding is refused.
    client.on('request', (_accept, reject) => reject?.());
  }

  async #authenticate(login: Login<Identity>, context: AuthContext, transport: GuardedTransport): Promise<void> {
    try {
      const outcome = await login.answer(context);
      if (this.#gone.signal.aborted) return;
      if (outcome.kind === 'loggedIn') this.#loggedIn(outcome.identity);
      else if (outcome.kind === 'exhausted') this.disconnect('too many authentication failures');
      transport.authenticationAnswered();
    } catch (err) {
      // ssh2 throws when the connection has failed in between.
      this.#logger.debug({ err }, 'authentication request could not be answered');
      this.#options.socket.destroy();
    }
  }

  async #ask(attempt: LoginAttempt): Promise<LoginDecision<Identity>> {
    try {
      return await this.#options.application.authenticate(attempt);
    } catch (err) {
      this.#logger.error({ err, method: attempt.method }, 'authentication failed unexpectedly');
      return { kind: 'deny' };
    }
  }

  #loggedIn(identity: Identity): void {
    this.#login = { identity };
    this.#options.onLoggedIn();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.disconnect('idle for too long'), this.#options.limits.idleTimeoutMs);
  }

  #openChannel(accept: () => Session, reject: () => void, transport: GuardedTransport): void {
    if (this.#login === undefined || this.#channels >= this.#options.limits.maxChannels) {
      this.#logger.info({ channels: this.#channels }, 'channel refused');
      reject();
      return;
    }
    const { identity } = this.#login;
    this.#channels++;
    let open = true;
    const release = () => {
      if (open) this.#channels--;
      open = false;
    };
    const session = accept();
    session.on('error', (err: unknown) => this.#logger.debug({ err }, 'session failed'));
    session.on('close', release);
    session.on('subsystem', (acceptSubsystem, rejectSubsystem, info) => {
      if (info.name !== 'sftp') {
        rejectSubsystem?.();
        return;
      }
      const channel: unknown = acceptSubsystem();
      if (channel === undefined) return;
      const { windowBudget, limits } = this.#options;
      void this.#startSession(new RawChannel(channel, { windowBytes: limits.windowBytes, windowBudget, transport }), identity);
    });
  }

  async #startSession(channel: RawChannel, identity: Identity): Promise<void> {
    const { application, sftpLimits } = this.#options;
    try {
      const { backend, gate } = await application.openSession(identity, this);
      const session = new SftpSession({
        channel,
        backend,
        gate,
        limits: sftpLimits,
        budget: this.#budget,
        logger: this.#logger,
        now: () => Math.floor(Date.now() / 1000),
        onActivity: () => this.#touch(),
        onEnd: () => this.#sessions.delete(session),
      });
      this.#sessions.add(session);
      session.start();
    } catch (err) {
      this.#logger.error({ err }, 'session could not be opened');
      channel.abort();
    }
  }

  /** Restarts the idle time. */
  #touch(): void {
    this.#activeAtMs = performance.now();
    if (!this.#gone.signal.aborted) this.#timer.refresh();
  }

  #failed(err: Error & { level?: string }): void {
    if (err.level === 'handshake') this.#logger.info({ reason: err.message, clientVersion: this.#clientVersion }, 'key exchange failed');
    else if (err.level === 'socket') this.#logger.debug({ err }, 'connection lost');
    else this.#logger.info({ reason: err.message, clientVersion: this.#clientVersion }, 'connection failed');
    this.#destroySoon();
  }

  #end(text: string): void {
    if (this.#transport === undefined) {
      this.#options.socket.destroy();
      return;
    }
    try {
      this.#transport.disconnect(text);
    } catch (err) {
      this.#logger.debug({ err }, 'disconnect could not be sent');
    }
    this.#destroySoon();
  }

  #destroySoon(): void {
    const { socket } = this.#options;
    setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
  }

  #closed(): void {
    clearTimeout(this.#timer);
    this.#gone.abort();
    if (this.#transport === undefined) this.#logger.debug({ receivedBytes: this.#options.socket.bytesRead }, 'connection closed before identification');
    this.#options.onClosed();
    try {
      if (this.#login !== undefined) this.#options.application.onClose?.(this.#login.identity, this);
    } catch (err) {
      this.#logger.error({ err }, 'handling the end of a connection failed');
    }
  }
}
