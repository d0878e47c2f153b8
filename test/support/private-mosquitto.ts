import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Certificates } from '../emulators/certificates.ts';
import { freePort } from './free-port.ts';
import { portAnswers } from './port-answers.ts';
import { startPrivateProcess } from './private-process.ts';

const SERVER = '/usr/sbin/mosquitto';
const run = promisify(execFile);

/** A mosquitto of its own. User `skiff`, password `p4ss word`; without TLS also anonymous, on `anonymousUrl`. */
export interface PrivateMosquitto {
  readonly url: string;
  readonly anonymousUrl: string;
  readonly tlsUrl: string;
  /** By TLS to clients with a certificate of the same authority only; its common name is the user. */
  readonly mutualTlsUrl: string;
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Needs the Debian package `mosquitto`; starts no service. */
export async function startPrivateMosquitto({ caFile, certFile, keyFile }: Certificates): Promise<PrivateMosquitto> {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-mosquitto-'));
  const passwords = join(dir, 'passwords');
  const [port, anonymousPort, tlsPort, mutualPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const tls = [`cafile ${caFile}`, `certfile ${certFile}`, `keyfile ${keyFile}`];
  await writeFile(passwords, '', { mode: 0o600 });
  await run('mosquitto_passwd', ['-b', passwords, 'skiff', 'p4ss word'], { timeout: 10_000 });
  const listener = (number: number, ...settings: readonly string[]) => [`listener ${number} 127.0.0.1`, ...settings].join('\n');
  await writeFile(
    join(dir, 'mosquitto.conf'),
    [
      'per_listener_settings true',
      'user root',
      listener(port, 'allow_anonymous false', `password_file ${passwords}`),
      listener(anonymousPort, 'allow_anonymous true'),
      listener(tlsPort, 'allow_anonymous true', ...tls),
      listener(mutualPort, 'allow_anonymous false', 'require_certificate true', 'use_identity_as_username true', ...tls),
    ].join('\n'),
  );
  let server = startPrivateProcess(SERVER, ['-c', join(dir, 'mosquitto.conf')]);
  const ready = async (): Promise<void> => {
    const deadline = performance.now() + 10_000;
    while (!(await portAnswers(anonymousPort))) {
      if (performance.now() > deadline) throw new Error(`mosquitto did not start:\n${server.output()}`);
      await delay(50);
    }
  };
  await ready();
  return {
    url: `mqtt://127.0.0.1:${port}`,
    anonymousUrl: `mqtt://127.0.0.1:${anonymousPort}`,
    tlsUrl: `mqtts://localhost:${tlsPort}`,
    mutualTlsUrl: `mqtts://localhost:${mutualPort}`,
    kill: () => server.kill(),
    async start() {
      server = startPrivateProcess(SERVER, ['-c', join(dir, 'mosquitto.conf')]);
      await ready();
    },
    async stop() {
      await server.stop();
      await rm(dir, { recursive: true });
    },
  };
}
