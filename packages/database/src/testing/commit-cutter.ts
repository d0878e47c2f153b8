import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { Secret } from '@skiff/runtime/secret';

/** COM_QUERY with the text COMMIT, as it stands in a packet (MySQL Client/Server Protocol, "COM_QUERY"). */
const COMMIT = Buffer.from('\u0003COMMIT', 'latin1');

export interface CommitCutter {
  /** The database through the proxy. */
  readonly url: Secret<string>;
  /** How often a connection was cut at its COMMIT. */
  readonly cuts: { beforeCommit: number; afterCommit: number };
  close(): Promise<void>;
}

/**
 * A proxy that cuts connections at COMMIT: `decide` says for each one whether it passes, is cut before the server sees it (no
 * effect), or before the client sees the answer (took effect). The client cannot tell the two apart.
 */
export async function startCommitCutter(tcpUrl: Secret<string>, decide: () => 'pass' | 'beforeCommit' | 'afterCommit'): Promise<CommitCutter> {
  const target = new URL(tcpUrl.reveal());
  const cuts = { beforeCommit: 0, afterCommit: 0 };
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    client.on('error', () => upstream.destroy());
    track(client);
    const upstream = connectTcp(Number(target.port), target.hostname);
    upstream.on('error', () => client.destroy());
    track(upstream);
    let muted = false;
    client.on('data', (chunk) => {
      const fate = chunk.includes(COMMIT) ? decide() : 'pass';
      if (fate !== 'pass') cuts[fate]++;
      if (fate === 'beforeCommit') {
        upstream.destroy();
        client.destroy();
        return;
      }
      muted = fate === 'afterCommit';
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (!muted) client.write(chunk);
      else {
        // The answer to COMMIT: it has taken effect.
        upstream.destroy();
        client.destroy();
      }
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new RangeError('no port');
  const url = new URL(tcpUrl.reveal());
  url.port = String(address.port);
  return {
    url: new Secret(url.href),
    cuts,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
