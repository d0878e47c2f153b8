import type { Secret } from '@skiff/runtime/secret';
import { MqttClient } from 'mqtt';
import { mqttPacketSizes } from '../frame-sizes.ts';
import { openGuardedSocket, refuseLiteral } from '../guarded-socket.ts';
import type { AddressPolicy } from '../http/address-guard.ts';
import type { TlsMaterial } from '../tls-material.ts';

export interface MqttConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly login?: { readonly username: string; readonly password: Secret<string> };
  readonly tls?: TlsMaterial;
  readonly addresses: AddressPolicy;
}

interface Opening {
  readonly opened: Promise<MqttClient>;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** Nothing is subscribed to: what comes are acknowledgements. */
const MAX_PACKET_BYTES = 1024 * 1024;
const KEEP_ALIVE_S = 30;
const CLOSE_TIMEOUT_MS = 2_000;

/** Holds the one connection in use. It is opened on first use and thrown away at its first failure: what waited on it fails, and is tried again. */
export class MqttConnectionSlot {
  readonly #options: MqttConnectionOptions;
  #current: Opening | undefined;
  #closed = false;

  constructor(options: MqttConnectionOptions) {
    this.#options = options;
  }

  async acquire(signal: AbortSignal): Promise<MqttClient> {
    signal.throwIfAborted();
    if (this.#closed) throw new Error('the target is closed');
    const current = this.#current ?? this.#open();
    this.#current = current;
    return current.opened;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#current?.opened.catch(() => undefined);
    if (client === undefined) return;
    const timer = setTimeout(() => client.end(true), CLOSE_TIMEOUT_MS);
    await client.endAsync();
    clearTimeout(timer);
  }

  /** @throws {AddressRefusedError} when the host is a literal that is refused. */
  #open(): Opening {
    // Before there is a client: it cannot bear a socket that is not made.
    refuseLiteral(this.#options);
    const { host, port, secure, tls = {}, addresses, login } = this.#options;
    const socket = { host, port, tls: secure ? tls : undefined, addresses };
    const connect = () => openGuardedSocket({ ...socket, sizes: mqttPacketSizes(MAX_PACKET_BYTES), onOversize: (error) => drop(error) }, () => undefined);
    const client = new MqttClient(connect, {
      protocolVersion: 5,
      clean: true,
      // Not by itself: what waits must fail, and be tried again by the router's own rules.
      reconnectPeriod: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      keepalive: KEEP_ALIVE_S,
      queueQoSZero: false,
      manualConnect: true,
      ...(login === undefined ? {} : { username: login.username, password: login.password.reveal().replace(/\r?\n$/, '') }),
    });
    const opened = Promise.withResolvers<MqttClient>();
    const opening: Opening = { opened: opened.promise };
    let failure: Error | undefined;
    const drop = (error: Error): void => {
      failure ??= error;
      if (this.#current === opening) this.#current = undefined;
      opened.reject(failure);
      client.end(true);
    };
    client.on('error', drop);
    client.on('close', () => drop(new Error('the connection was lost')));
    client.on('disconnect', () => drop(new Error('the broker has ended the connection')));
    client.on('connect', () => opened.resolve(client));
    opened.promise.catch(() => undefined);
    try {
      client.connect();
    } catch (error) {
      drop(error instanceof Error ? error : new Error('cannot connect'));
    }
    return opening;
  }
}
