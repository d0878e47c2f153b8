import { Socket } from 'node:net';
import { withDeadline } from '@skiff/runtime/abort';
import rhea, { type Connection, type ConnectionOptions, type EventContext } from 'rhea';
import { amqpFrameSizes } from '../frame-sizes.ts';
import { openGuardedSocket } from '../guarded-socket.ts';
import { toAmqpError } from './amqp-error.ts';
import { type AmqpOptions, parseBrokerUrl } from './amqp-options.ts';

const OPEN_TIMEOUT_MS = 10_000;
const MAX_TARGET_FRAME_BYTES = 1024 * 1024;
const CLOSE_TIMEOUT_MS = 2_000;
/** A peer that is silent for twice as long is taken for dead (AMQP 1.0 §2.4.5). */
const IDLE_TIMEOUT_MS = 20_000;

/** One connection, from open to its first failure. It is never repaired: whoever uses it opens another. */
export interface AmqpConnection {
  readonly connection: Connection;
  /** Resolves with why the connection ended, also when it was closed here. */
  readonly ended: Promise<Error>;
  close(): Promise<void>;
}

/** @throws {StoreError} when the broker cannot be reached or refuses the login, {AddressRefusedError} for a refused literal. */
export async function openAmqpConnection(options: AmqpOptions, signal: AbortSignal): Promise<AmqpConnection> {
  const { host, port, secure } = parseBrokerUrl(options.url, { plain: 'amqp', tls: 'amqps', ports: [5672, 5671] });
  const { addresses } = options;
  const { login, tls = {} } = options.access === undefined ? options : await options.access();
  const ended = Promise.withResolvers<Error>();
  const opened = Promise.withResolvers<void>();
  const fail = (reason: Error): void => {
    opened.reject(reason);
    ended.resolve(reason);
  };
  // Whoever only sends gets nothing large back; who consumes trusts the broker that the platform has chosen.
  const sizes = addresses === undefined ? undefined : amqpFrameSizes(MAX_TARGET_FRAME_BYTES);
  const details: ConnectionOptions = {
    host,
    hostname: host.replace(/^\[(.*)\]$/, '$1'),
    port,
    username: login?.username ?? 'anonymous',
    ...(login === undefined ? {} : { password: login.password.reveal().replace(/\r?\n$/, '') }),
    reconnect: false,
    idle_time_out: IDLE_TIMEOUT_MS,
    connection_details: () => ({
      host,
      port,
      connect: (_port: number, _host: string, _options: unknown, onReady: () => void) =>
        openGuardedSocket({ host, port, tls: secure ? tls : undefined, addresses, sizes, onOversize: fail }, onReady),
    }),
  };
  const container = rhea.create_container();
  const onEnd = ({ connection, error }: EventContext): void => {
    const failure = error ?? connection?.error;
    const reason = failure === undefined ? new Error('the connection was lost') : asError(failure);
    fail(reason);
  };
  for (const event of ['connection_error', 'connection_close', 'disconnected', 'protocol_error', 'error']) container.on(event, onEnd);
  container.on('connection_open', () => opened.resolve());
  const connection = container.connect(details);
  const close = (): Promise<void> => closeConnection(connection, ended.promise);
  try {
    await withDeadline({ timeoutMs: OPEN_TIMEOUT_MS, signal }, () => opened.promise);
  } catch (error) {
    opened.promise.catch(() => undefined);
    abandon(connection);
    if (signal.aborted) throw error;
    throw error instanceof Error && 'code' in error && error.code === 'AddressRefused' ? error : toAmqpError('connect', error);
  }
  return { connection, ended: ended.promise, close };
}

async function closeConnection(connection: Connection, ended: Promise<Error>): Promise<void> {
  if (connection.is_open()) {
    connection.close();
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      ended,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
      }),
    ]);
    clearTimeout(timer);
  }
  abandon(connection);
}

/**
 * Without a goodbye: the socket of a broker that does not answer must not stay. rhea 3.0.5 has no word for it, and leaves the timers of
 * heartbeats running after a close.
 */
function abandon(connection: Connection): void {
  const socket: unknown = Reflect.get(connection, 'socket');
  if (socket instanceof Socket) {
    socket.on('error', () => undefined);
    socket.destroy();
  }
  for (const name of ['heartbeat_in', 'heartbeat_out']) {
    const timer: unknown = Reflect.get(connection, name);
    if (timer instanceof Object && Symbol.dispose in timer) clearTimeout(Number(timer));
  }
}

function asError(failure: unknown): Error {
  return failure instanceof Error ? failure : toAmqpError('connection', failure);
}
