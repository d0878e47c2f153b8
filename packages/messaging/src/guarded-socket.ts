import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { FrameSizes } from './frame-sizes.ts';
import { type AddressPolicy, AddressRefusedError, createAddressGuard } from './http/address-guard.ts';
import type { TlsMaterial } from './tls-material.ts';

export interface SocketOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined: without TLS. */
  readonly tls: TlsMaterial | undefined;
  /** Undefined: any address, for hosts that the platform has chosen. */
  readonly addresses: AddressPolicy | undefined;
  /** Ends the connection of a peer that announces more than is allowed: its host was chosen by a tenant. */
  readonly sizes?: FrameSizes | undefined;
  /** Told why, before the connection ends by `sizes`: the libraries keep the error of a socket to themselves. */
  readonly onOversize?: (error: Error) => void;
}

/**
 * Opens a connection to an allowed address only; a name is resolved once, by the guard. `onReady` is called when bytes may be sent
 * (after the TLS handshake). The caller listens to `error`.
 *
 * @throws {AddressRefusedError} when the host is a literal that is refused.
 */
export function openGuardedSocket(options: SocketOptions, onReady: () => void): Socket {
  const { port, tls, addresses } = options;
  const host = options.host.replace(/^\[(.*)\]$/, '$1');
  refuseLiteral(options);
  const guard = addresses === undefined ? undefined : createAddressGuard(addresses);
  const common = { host, port, ...(guard === undefined ? {} : { lookup: guard.lookup }) };
  const secure = tls === undefined ? undefined : { ...common, ...tls, ...(isIP(host) === 0 ? { servername: host } : {}) };
  const socket = secure === undefined ? connectTcp(common, onReady) : connectTls(secure, onReady);
  // Small frames go in both directions: none should wait until the one before is acknowledged.
  socket.setNoDelay(true);
  const { sizes, onOversize } = options;
  if (sizes === undefined) return socket;
  return socket.on('data', (chunk: Buffer) => {
    if (sizes.accept(chunk)) return;
    onOversize?.(new Error('the broker sends frames that are too large, or none'));
    socket.destroy();
  });
}

/** @throws {AddressRefusedError} when the host is a literal that is refused. */
export function refuseLiteral({ host: text, addresses }: Pick<SocketOptions, 'host' | 'addresses'>): void {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (addresses === undefined || isIP(host) === 0) return;
  const refused = createAddressGuard(addresses).refusal(host);
  if (refused !== undefined) throw new AddressRefusedError(host, refused.addressClass, true);
}
