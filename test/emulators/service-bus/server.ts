import { readFile } from 'node:fs/promises';
import type { AddressInfo, Server } from 'node:net';
import rhea, { type Connection, type Container, type EventContext } from 'rhea';
import { TokenVerifier } from './claims.ts';
import { ClientConnection } from './client-connection.ts';
import { Namespace } from './namespace.ts';
import type { Outcome } from './receiving-link.ts';
import { keepRawMessages } from './rhea-internals.ts';
import type { ServerConfig } from './server-config.ts';

const IDLE_TIMEOUT_MS = 60_000;
const MAX_FRAME_BYTES = 65_536;
const MAX_CHANNELS = 4_999;
const CREDIT_WINDOW = 1_000;
const EXPIRY_CHECK_MS = 500;
const OUTCOMES: readonly Outcome[] = ['accepted', 'released', 'modified', 'rejected'];
/** Whatever goes wrong on a connection ends that connection; rhea throws when nobody listens. */
const FAILURES = ['connection_error', 'protocol_error', 'session_error', 'sender_error', 'receiver_error', 'error'];

export interface ServiceBusServer {
  readonly port: number;
  readonly tlsPort: number;
  readonly namespace: Namespace;
  /** Ends every link, or every connection. */
  detachLinks(): void;
  dropConnections(): void;
  stop(): Promise<void>;
}

/** Azure Service Bus over AMQP 1.0 as far as `@azure/service-bus` and generic clients use it, with a durable log. */
export async function startServiceBus(config: ServerConfig): Promise<ServiceBusServer> {
  keepRawMessages();
  const namespace = new Namespace(config);
  const verifier = new TokenVerifier(config);
  const clients = new Map<Connection, ClientConnection>();
  const container = createContainer(verifier);

  function clientOf(connection: Connection): ClientConnection {
    const known = clients.get(connection) ?? new ClientConnection({ connection, namespace, verifier, maxMessageBytes: config.maxMessageBytes });
    clients.set(connection, known);
    return known;
  }
  wire(container, clientOf);
  // After an orderly close there is no `disconnected`.
  for (const end of ['connection_close', 'disconnected']) {
    container.on(end, ({ connection }: EventContext) => {
      clients.get(connection)?.close();
      clients.delete(connection);
    });
  }
  const expiry = setInterval(() => {
    for (const client of clients.values()) client.expireLinks();
  }, EXPIRY_CHECK_MS);

  const [key, cert] = await Promise.all([readFile(config.keyFile), readFile(config.certFile)]);
  const options = {
    host: config.host,
    idle_time_out: IDLE_TIMEOUT_MS,
    tcp_no_delay: true,
    max_frame_size: MAX_FRAME_BYTES,
    channel_max: MAX_CHANNELS,
    sender_options: { autosettle: false, treat_modified_as_released: false },
    receiver_options: { autoaccept: false, credit_window: CREDIT_WINDOW },
  };
  const plain = await listening(container.listen({ ...options, port: config.port }));
  const secure = await listening(container.listen({ ...options, port: config.tlsPort, transport: 'tls', key, cert }));
  return {
    port: plain.port,
    tlsPort: secure.port,
    namespace,
    detachLinks: () => {
      for (const client of clients.values()) client.detachLinks();
    },
    dropConnections: () => {
      for (const connection of clients.keys())
        connection.close({ condition: 'amqp:connection:forced', description: 'The connection was closed by the broker.' });
    },
    stop: async () => {
      clearInterval(expiry);
      for (const { server } of [plain, secure]) server.close();
      await namespace.close();
    },
  };
}

function createContainer(verifier: TokenVerifier): Container {
  const container = rhea.create_container({ id: 'service-bus-emulator', non_fatal_errors: ['error'] });
  const mechanisms = container.sasl_server_mechanisms;
  mechanisms.enable_anonymous();
  mechanisms.MSSBCBS = mechanisms.ANONYMOUS;
  mechanisms.EXTERNAL = mechanisms.ANONYMOUS;
  mechanisms.enable_plain((user: string, password: string) => verifier.isKey(user, password));
  for (const failure of FAILURES) container.on(failure, () => {});
  return container;
}

function wire(container: Container, clientOf: (connection: Connection) => ClientConnection): void {
  const onSender = (event: string, act: (client: ClientConnection, sender: NonNullable<EventContext['sender']>) => void): void => {
    container.on(event, ({ connection, sender }: EventContext) => {
      if (sender !== undefined) act(clientOf(connection), sender);
    });
  };
  onSender('sender_open', (client, sender) => client.attachReceiver(sender));
  onSender('sendable', (client, sender) => client.credit(sender));
  onSender('sender_draining', (client, sender) => client.credit(sender));
  onSender('sender_close', (client, sender) => client.closeLink(sender));
  container.on('receiver_open', ({ connection, receiver }: EventContext) => {
    if (receiver !== undefined) clientOf(connection).attachSender(receiver);
  });
  container.on('receiver_close', ({ connection, receiver }: EventContext) => {
    if (receiver !== undefined) clientOf(connection).closeLink(receiver);
  });
  container.on('session_close', ({ connection, session }: EventContext) => {
    session?.each_link(
      (link: Parameters<ClientConnection['closeLink']>[0]) => clientOf(connection).closeLink(link),
      () => true,
    );
  });
  for (const outcome of OUTCOMES) {
    container.on(outcome, ({ connection, sender, delivery }: EventContext) => {
      if (sender !== undefined && delivery !== undefined) clientOf(connection).settle(sender, delivery, outcome);
    });
  }
  container.on('message', ({ connection, receiver, delivery, message, ...context }: EventContext) => {
    if (receiver === undefined || delivery === undefined || message === undefined) return;
    const format: unknown = 'format' in context ? context.format : undefined;
    clientOf(connection)
      .receive({ receiver, delivery, message, format: typeof format === 'number' ? format : undefined })
      .catch((error: unknown) => {
        // A bug of the emulator: better a dead emulator than a test that waits.
        throw error;
      });
  });
}

async function listening(server: Server): Promise<{ readonly server: Server; readonly port: number }> {
  if (!server.listening) {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', resolve);
    });
  }
  const address: AddressInfo | string | null = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}
