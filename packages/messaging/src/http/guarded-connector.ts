import { isIP } from 'node:net';
import { buildConnector } from 'undici';
import { type AddressPolicy, AddressRefusedError, createAddressGuard } from './address-guard.ts';

/**
 * Connects for undici to addresses that the policy allows, and to no other: names are resolved once per connection by the guard
 * itself (pinning: nothing resolves a second time), literals are checked before, and the peer's address once more after.
 */
export function createGuardedConnector(policy: AddressPolicy, options: buildConnector.BuildOptions): buildConnector.connector {
  const guard = createAddressGuard(policy);
  const connect = buildConnector({ ...options, lookup: guard.lookup });
  return (target, callback) => {
    const literal = target.hostname.replace(/^\[(.*)\]$/, '$1');
    // net.connect looks up names only.
    const refused = isIP(literal) === 0 ? undefined : guard.refusal(literal);
    if (refused !== undefined) return callback(new AddressRefusedError(literal, refused.addressClass, true), null);
    connect(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      const peer = guard.refusal(socket.remoteAddress ?? '');
      if (peer === undefined) return callback(null, socket);
      socket.destroy();
      callback(peer, null);
    });
  };
}
