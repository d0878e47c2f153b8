import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Certificates } from '../emulators/certificates.ts';
import { freePort } from './free-port.ts';
import { portAnswers } from './port-answers.ts';
import { type PrivateProcess, startPrivateProcess } from './private-process.ts';

const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const START_TIMEOUT_MS = 90_000;
/** Clients that come by TLS must have a certificate of the same authority. */
export const MUTUAL_TLS = ['ssl_options.verify = verify_peer', 'ssl_options.fail_if_no_peer_cert = true'] as const;
const run = promisify(execFile);

/** A RabbitMQ of its own, with AMQP 1.0, on ports of its own, without management. User `skiff`, password `p4ss word`. */
export interface PrivateRabbitMq {
  readonly url: string;
  /** By TLS, when certificates were given. */
  readonly tlsUrl: string;
  /** Kills the broker and starts it again with its data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Needs the Debian package `rabbitmq-server`; starts no service. `furtherSettings` are lines of `rabbitmq.conf`. */
export async function startPrivateRabbitMq(certificates?: Certificates, furtherSettings: readonly string[] = []): Promise<PrivateRabbitMq> {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-rabbit-'));
  const [port, tlsPort, distPort, epmdPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const at = (name: string): string => join(dir, name);
  await Promise.all([mkdir(at('mnesia')), mkdir(at('log'))]);
  const tls = certificates === undefined ? [] : tlsSettings(tlsPort, certificates);
  await writeFile(
    at('rabbitmq.conf'),
    [
      `listeners.tcp.default = 127.0.0.1:${port}`,
      'default_user = skiff',
      'default_pass = p4ss word',
      'loopback_users = none',
      'log.console = true',
      'log.console.level = warning',
      ...tls,
      ...furtherSettings,
    ].join('\n'),
  );
  await writeFile(at('enabled_plugins'), '[rabbitmq_amqp1_0].\n');
  const env = {
    HOME: dir,
    RABBITMQ_NODENAME: `skiff${port}@localhost`,
    RABBITMQ_MNESIA_BASE: at('mnesia'),
    RABBITMQ_LOG_BASE: at('log'),
    RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: at('advanced.config'),
    RABBITMQ_CONF_ENV_FILE: at('none'),
    RABBITMQ_ENABLED_PLUGINS_FILE: at('enabled_plugins'),
    RABBITMQ_PID_FILE: at('pid'),
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none',
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    // So that it may be ended while it still believes in a node that was killed.
    ERL_EPMD_RELAXED_COMMAND_CHECK: '1',
    LANG: 'C.UTF-8',
  };
  let broker: PrivateProcess;
  const start = async (): Promise<void> => {
    broker = startPrivateProcess(SERVER, [], env);
    await waitForPort(port, broker);
  };
  const stop = async (): Promise<void> => {
    await broker.kill();
    // Erlang's port mapper is a daemon of its own; this one is ours alone.
    await run('epmd', ['-port', String(epmdPort), '-kill'], {
      timeout: 5000,
      env: { PATH: process.env.PATH ?? '', ERL_EPMD_RELAXED_COMMAND_CHECK: '1' },
    }).catch(() => 'it has ended');
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `amqp://127.0.0.1:${port}`,
    tlsUrl: `amqps://localhost:${tlsPort}`,
    async restart() {
      await broker.kill();
      await start();
    },
    stop,
  };
}

function tlsSettings(port: number, { caFile, certFile, keyFile }: Certificates): readonly string[] {
  return [
    `listeners.ssl.default = 127.0.0.1:${port}`,
    `ssl_options.cacertfile = ${caFile}`,
    `ssl_options.certfile = ${certFile}`,
    `ssl_options.keyfile = ${keyFile}`,
  ];
}

async function waitForPort(port: number, broker: PrivateProcess): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  let ended = false;
  void broker.exited.then(() => {
    ended = true;
  });
  while (!(await portAnswers(port))) {
    if (ended || performance.now() > deadline) throw new Error(`RabbitMQ did not start:\n${broker.output()}`);
    await delay(200);
  }
}
