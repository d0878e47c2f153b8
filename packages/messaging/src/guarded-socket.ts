import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type AddressPolicy, AddressRefusedError, createAddressGuard } from './http/address-guard.ts';
import type { TlsMaterial } from './tls-material.ts';

export interface SocketOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined: without TLS. */
  readonly tls: TlsMaterial | undefined;
  /** Undefined: any address, for hosts that the platform has chosen. */
  readonly addresses: AddressPolicy | undefined;
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
  if (tls === undefined) return connectTcp(common, onReady);
  return connectTls({ ...common, ...tls, ...(isIP(host) === 0 ? { servername: host } : {}) }, onReady);
}

/** @throws {AddressRefusedError} when the host is a literal that is refused. */
export function refuseLiteral({ host: text, addresses }: Pick<SocketOptions, 'host' | 'addresses'>): void {
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (addresses === undefined || isIP(host) === 0) return;
  const refused = createAddressGuard(addresses).refusal(host);
  if (refused !== undefined) throw new AddressRefusedError(host, refused.addressClass, true);
}
