import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import ssh2, { type Connection as Client } from 'ssh2';
import type { SftpBackend } from '../backend.ts';
import { DEFAULT_SFTP_LIMITS, type SftpLimits } from '../dispatch/flow-budget.ts';
import type { Gate } from '../dispatch/gate.ts';
import { parseHostKey } from '../ssh2-private/host-key.ts';
import { guardTransport } from '../ssh2-private/transport-guard.ts';
import { WindowBudget } from '../ssh2-private/window-budget.ts';
import { Admission, plainAddress } from './admission.ts';
import { ciphersFor, KEY_EXCHANGES, MACS, SIGNATURE_ALGORITHMS, SSH2_CIPHERS, SSH2_KEY_EXCHANGES } from './algorithms.ts';
import { SshConnection } from './ssh-connection.ts';
import type { OfferedKey } from './user-key.ts';

export type LoginMethod = 'publickey' | 'password';

/** One authentication request (RFC 4252). */
export interface LoginAttempt {
  readonly username: string;
  readonly method: 'none' | LoginMethod;
  readonly remoteAddress: string;
  /** With `publickey`. An accepted key that is only `offered` makes the client sign; a `refuted` one is denied whatever is decided. */
  readonly key?: OfferedKey;
  /** With `password`; at most 1,024 bytes. */
  readonly password?: Secret<string>;
  /** The connection is gone; the decision no longer matters. */
  readonly signal: AbortSignal;
}

/** `remaining`: the methods that may be tried next; default: all that the listener offers. */
export type LoginDecision<Identity> =
  | { readonly kind: 'accept'; readonly identity: Identity }
  | { readonly kind: 'deny'; readonly remaining?: readonly LoginMethod[] };

/** A connection as the application sees it. */
export interface Connection {
  readonly id: string;
  /** Without the IPv6 mapping of IPv4. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The client's identification, such as `SSH-2.0-OpenSSH_9.2p1 Debian-2`. */
  readonly clientVersion: string;
  /** Files or directories are open, or requests in flight. */
  readonly busy: boolean;
  /** Ends the connection; OpenSSH and WinSCP show the text to the user. */
  disconnect(text: string): void;
}

export interface OpenedSession {
  readonly backend: SftpBackend;
  readonly gate?: Gate;
}

export interface ListenerLimits {
  /** From the TCP connection to the client's identification. */
  readonly identificationTimeoutMs: number;
  /** From the TCP connection to the login. */
  readonly loginGraceMs: number;
  readonly maxConnections: number;
  /** Connections that have not logged in. */
  readonly maxStartups: number;
  readonly maxStartupsPerSource: number;
  /** Failed authentication requests of a connection. */
  readonly maxAuthTries: number;
  /** Sessions of a connection. */
  readonly maxChannels: number;
  /** Without an answered request or output that moved. */
  readonly idleTimeoutMs: number;
  /** Receive window of a channel; what exceeds 2 MiB comes out of `windowBudgetBytes`, which all connections share. */
  readonly windowBytes: number;
  readonly windowBudgetBytes: number;
  readonly rekeyBytes: number;
  readonly rekeyMs: number;
  /** A peer that answers three of these in a row with silence is gone. */
  readonly keepaliveMs: number;
}

export const DEFAULT_LISTENER_LIMITS: ListenerLimits = {
  identificationTimeoutMs: 10_000,
  loginGraceMs: 30_000,
  maxConnections: 10_000,
  maxStartups: 500,
  maxStartupsPerSource: 100,
  maxAuthTries: 6,
  maxChannels: 10,
  idleTimeoutMs: 15 * 60_000,
  windowBytes: 8 * 1024 * 1024,
  windowBudgetBytes: 64 * 1024 * 1024,
  rekeyBytes: 1024 ** 3,
  rekeyMs: 3_600_000,
  keepaliveMs: 20_000,
};

export interface SshListenerOptions<Identity> {
  /** Private keys, OpenSSH or PEM, one for each type. */
  readonly hostKeys: readonly Secret<string>[];
  readonly methods: readonly LoginMethod[];
  /** Decides a request and with that, by the time it takes, when it is answered. A rejection counts as a denial. */
  readonly authenticate: (attempt: LoginAttempt) => Promise<LoginDecision<Identity>>;
  /** Called for each `sftp` channel. A rejection closes the channel. */
  readonly openSession: (identity: Identity, connection: Connection) => OpenedSession | Promise<OpenedSession>;
  /** Called once for each connection that had logged in. */
  readonly onClose?: (identity: Identity, connection: Connection) => void;
  readonly logger: Logger;
  /** Shown before the login. */
  readonly banner?: string;
  readonly limits?: Partial<ListenerLimits>;
  readonly sftpLimits?: Partial<SftpLimits>;
}

export interface SshListener {
  /** Port 0 takes a free one. Resolves when connections are accepted. @throws what `net.Server.listen` emits. */
  listen(port: number, host?: string): Promise<void>;
  readonly port: number;
  /** Those that have logged in. */
  readonly connections: readonly Connection[];
  /** For connections from now on. @throws {HostKeyError} */
  setHostKeys(hostKeys: readonly Secret<string>[]): void;
  /** Accepts no more, lets busy connections finish for at most `graceMs`, and ends those that stay idle for 2 s. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

const DRAIN_CHECK_MS = 100;
/** Between two files, and after the last until the client has said goodbye, a connection is idle for a moment: ending it then fails the transfer. */
const DRAIN_QUIET_MS = 2_000;
const IDENT = 'Skiff';
const REKEY_ANSWER_MS = 30_000;

/** A hardened SSH server that offers SFTP and nothing else. Run `selfCheck()` once before. @throws {HostKeyError} */
export function createSshListener<Identity>(options: SshListenerOptions<Identity>): SshListener {
  return new HardenedListener(options);
}

class HardenedListener<Identity> implements SshListener {
  readonly #options: SshListenerOptions<Identity>;
  readonly #limits: ListenerLimits;
  readonly #sftpLimits: SftpLimits;
  readonly #admission: Admission;
  readonly #windowBudget: WindowBudget;
  readonly #net: NetServer;
  readonly #connections = new Set<SshConnection<Identity>>();
  readonly #bySocket = new WeakMap<object, SshConnection<Identity>>();
  #ssh: ssh2.Server;
  #closing = false;

  constructor(options: SshListenerOptions<Identity>) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.#sftpLimits = { ...DEFAULT_SFTP_LIMITS, ...options.sftpLimits };
    this.#admission = new Admission(this.#limits);
    this.#windowBudget = new WindowBudget(this.#limits.windowBudgetBytes);
    this.#ssh = this.#createSsh(options.hostKeys);
    this.#net = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#onSocket(socket));
    this.#net.on('error', (err) => options.logger.error({ err }, 'listener failed'));
  }

  get port(): number {
    const address = this.#net.address();
    if (address === null || typeof address === 'string') throw new Error('not listening on TCP');
    return address.port;
  }

  get connections(): readonly Connection[] {
    return [...this.#connections].filter((connection) => connection.isLoggedIn);
  }

  setHostKeys(hostKeys: readonly Secret<string>[]): void {
    this.#ssh = this.#createSsh(hostKeys);
  }

  async listen(port: number, host?: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#net.once('error', reject);
    this.#net.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
    await promise;
    this.#net.removeListener('error', reject);
  }

  async close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#net.close(() => resolve()));
    const deadline = performance.now() + graceMs;
    const began = performance.now();
    while (this.#connections.size > 0) {
      const now = performance.now();
      const isOver = now >= deadline;
      for (const connection of this.#connections) {
        const isQuiet = !connection.busy && now - Math.max(began, connection.activeAtMs) >= DRAIN_QUIET_MS;
        if (isOver || isQuiet) connection.disconnect('the server is shutting down');
      }
      if (isOver) break;
      await new Promise((resolve) => setTimeout(resolve, Math.min(DRAIN_CHECK_MS, Math.max(0, deadline - performance.now()))));
    }
    await closed;
  }

  #createSsh(hostKeys: readonly Secret<string>[]): ssh2.Server {
    // The first key of a type that the client knows is taken, so the order is that of preference: RSA signatures cost most.
    const order = (type: string) => SIGNATURE_ALGORITHMS.findIndex((name) => name === (type === 'ssh-rsa' ? 'rsa-sha2-512' : type));
    const keys = hostKeys.map((key) => parseHostKey(key.reveal())).sort((a, b) => order(a.type) - order(b.type));
    const { banner } = this.#options;
    const server = new ssh2.Server({
      hostKeys: keys.map((key) => key.config),
      ident: IDENT,
      ...(banner === undefined ? {} : { banner }),
      keepaliveInterval: this.#limits.keepaliveMs,
      keepaliveCountMax: 3,
      algorithms: {
        kex: [...SSH2_KEY_EXCHANGES],
        serverHostKey: [...SIGNATURE_ALGORITHMS],
        cipher: [...SSH2_CIPHERS],
        hmac: [...MACS],
        compress: ['none'],
      },
    });
    server.on('error', (err: unknown) => this.#options.logger.error({ err }, 'SSH server failed'));
    server.on('connection', (client, info) => {
      client.on('error', () => {});
      try {
        this.#onIdentified(client, info.header.identRaw);
      } catch (err) {
        this.#options.logger.error({ err }, 'connection could not be hardened');
        client.end();
      }
    });
    return server;
  }

  #onIdentified(client: Client, identification: string): void {
    const { rekeyBytes, rekeyMs } = this.#limits;
    const transport = guardTransport(client, {
      kex: KEY_EXCHANGES,
      cipher: ciphersFor(identification),
      signatureAlgorithms: SIGNATURE_ALGORITHMS,
      rekey: { bytes: rekeyBytes, ms: rekeyMs, answerMs: REKEY_ANSWER_MS },
    });
    this.#bySocket.get(transport.socket)?.identified(client, transport, identification);
  }

  #onSocket(socket: Socket): void {
    socket.on('error', () => {});
    const remoteAddress = plainAddress(socket.remoteAddress ?? '');
    const refusal = this.#closing ? 'closing' : remoteAddress === '' ? 'gone' : this.#admission.enter(remoteAddress);
    if (refusal !== undefined) {
      this.#options.logger.debug({ remoteAddress, reason: refusal }, 'connection refused');
      socket.destroy();
      return;
    }
    const connection = new SshConnection<Identity>({
      socket,
      remoteAddress,
      limits: this.#limits,
      sftpLimits: this.#sftpLimits,
      windowBudget: this.#windowBudget,
      application: this.#options,
      onLoggedIn: () => this.#admission.leaveStartup(remoteAddress),
      onClosed: () => {
        this.#connections.delete(connection);
        if (!connection.isLoggedIn) this.#admission.leaveStartup(remoteAddress);
        this.#admission.leave();
      },
    });
    this.#connections.add(connection);
    this.#bySocket.set(socket, connection);
    this.#ssh.injectSocket(socket);
  }
}
