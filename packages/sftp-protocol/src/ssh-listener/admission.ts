import { sourceNetwork } from './source-network.ts';

/**
 * Counts connections that have not logged in, in all and by source (OpenSSH's MaxStartups and PerSourceMaxStartups), and all
 * connections. The state is bounded by the connections themselves.
 */
export class Admission {
  readonly #limits: { readonly maxConnections: number; readonly maxStartups: number; readonly maxStartupsPerSource: number };
  readonly #bySource = new Map<string, number>();
  #startups = 0;
  #connections = 0;

  constructor(limits: { readonly maxConnections: number; readonly maxStartups: number; readonly maxStartupsPerSource: number }) {
    this.#limits = limits;
  }

  /** Why a connection is refused; undefined when it was counted, and `leaveStartup` and `leave` are due for it. */
  enter(address: string): 'maxConnections' | 'maxStartups' | 'maxStartupsPerSource' | undefined {
    const source = sourceNetwork(address);
    const fromSource = this.#bySource.get(source) ?? 0;
    if (this.#connections >= this.#limits.maxConnections) return 'maxConnections';
    if (this.#startups >= this.#limits.maxStartups) return 'maxStartups';
    if (fromSource >= this.#limits.maxStartupsPerSource) return 'maxStartupsPerSource';
    this.#connections++;
    this.#startups++;
    this.#bySource.set(source, fromSource + 1);
    return undefined;
  }

  /** The connection has logged in or is gone. */
  leaveStartup(address: string): void {
    const source = sourceNetwork(address);
    this.#startups--;
    const left = (this.#bySource.get(source) ?? 1) - 1;
    if (left === 0) this.#bySource.delete(source);
    else this.#bySource.set(source, left);
  }

  leave(): void {
    this.#connections--;
  }
}

/** The address as it is written everywhere: IPv4 without the IPv6 mapping of a dual-stack socket. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
}
