import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy that can swallow everything without closing anything: what a firewall that lost its state does. */
export interface BlackholeProxy {
  readonly port: number;
  /** Open connections stay open and carry nothing, new ones are accepted and carry nothing. */
  swallow(): void;
  /** Closes all open connections. */
  cut(): void;
  /** New connections work again; swallowed ones stay dead. */
  heal(): void;
  stop(): Promise<void>;
}

export async function startBlackholeProxy(target: { readonly host: string; readonly port: number }): Promise<BlackholeProxy> {
  const pairs = new Set<{ readonly sockets: readonly Socket[]; dead: boolean }>();
  let swallowing = false;
  const server: Server = createServer((client) => {
    const upstream = connect(target.port, target.host);
    const pair = { sockets: [client, upstream], dead: swallowing };
    pairs.add(pair);
    const close = () => {
      pairs.delete(pair);
      for (const socket of pair.sockets) socket.destroy();
    };
    for (const socket of pair.sockets) {
      socket.on('error', close);
      socket.on('close', close);
    }
    client.on('data', (chunk) => pair.dead || upstream.write(chunk));
    upstream.on('data', (chunk) => pair.dead || client.write(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const cut = () => {
    for (const pair of pairs) for (const socket of pair.sockets) socket.destroy();
  };
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    swallow() {
      swallowing = true;
      for (const pair of pairs) pair.dead = true;
    },
    cut,
    heal() {
      swallowing = false;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}
