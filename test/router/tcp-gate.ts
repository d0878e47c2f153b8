import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP relay that can be shut: connections break and new ones are refused, as when a server is down. */
export interface TcpGate {
  readonly port: number;
  shut(): void;
  open(): void;
  close(): Promise<void>;
}

export async function startTcpGate(target: { readonly host: string; readonly port: number }): Promise<TcpGate> {
  const sockets = new Set<Socket>();
  let shut = false;
  const track = (socket: Socket, peer: () => Socket): void => {
    sockets.add(socket);
    socket.on('error', () => peer().destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      peer().destroy();
    });
  };
  const server = createServer((near) => {
    if (shut) {
      near.on('error', () => undefined);
      near.resetAndDestroy();
      return;
    }
    const far = connect(target.port, target.host);
    track(near, () => far);
    track(far, () => near);
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the gate has no port');
  const breakAll = (): void => {
    for (const socket of sockets) breakOff(socket);
  };
  return {
    port: address.port,
    shut() {
      shut = true;
      breakAll();
    },
    open() {
      shut = false;
    },
    async close() {
      breakAll();
      server.close();
      await once(server, 'close');
    },
  };
}

/**
 * Ends a connection by a reset, unless it is being ended. Node 24 answers a reset in the same turn as `end()` with EINVAL and
 * then never closes the handle: the process does not end, or spins when it should.
 */
export function breakOff(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
