import { readFileSync } from 'node:fs';
import { createResourceRepository } from '@skiff/database/mysql-resource-repository';
import { parseEndpointSettings } from '@skiff/model/endpoint-settings';
import { Secret } from '@skiff/runtime/secret';
import { selfCheck } from '@skiff/sftp-protocol/self-check';
import { startProcessHealth } from '../composition/process-health.ts';
import { createProcessParts, keepLease } from '../composition/process-parts.ts';
import { startSftpServer } from '../composition/server-parts.ts';
import { ConfigurationError, type Environment } from '../configuration/environment.ts';
import type { ModeContext } from './mode.ts';
import { untilSignalled } from './run-until-signal.ts';
import { waitForSchema } from './wait-for-database.ts';

/** `skiff sftp-server`: one endpoint's SFTP server, from the settings and host keys that the operator has mounted. */
export async function runSftpServer(context: ModeContext): Promise<number> {
  const { configuration, environment, logger } = context;
  await selfCheck();
  const { databaseUrl } = configuration;
  if (databaseUrl === undefined) throw new ConfigurationError('SKIFF_DATABASE_URL is missing: mysql://user:password@host:3306/skiff');
  const settings = readSettings(environment);
  const hostKeys = required(environment, 'SKIFF_HOST_KEY_FILES', 'paths of private host keys, separated by commas')
    .split(',')
    .map((file) => new Secret(readRequired('SKIFF_HOST_KEY_FILES', file.trim())));
  const parts = createProcessParts(configuration, logger, databaseUrl);
  const stop = new AbortController();
  const signalled = untilSignalled(logger).then(() => stop.abort());
  try {
    await waitForSchema(parts, stop.signal);
    const lease = await keepLease(parts, 'sftp-server');
    const endpointId = await createResourceRepository(parts.database).endpointId(settings.namespace, settings.name);
    const endpointLogger = logger.child({ endpoint: `${settings.namespace}/${settings.name}` });
    const running = await startSftpServer(parts, { settings, endpointId, lease: lease.lease, hostKeys, logger: endpointLogger });
    const health = await startProcessHealth(parts, { sessions: () => running.server.sessionCount, outbox: running.outbox });
    health.ready();
    await signalled;
    health.drain();
    await running.stop();
    await lease.release();
    await health.stop();
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    await parts.database.close();
  }
  return 0;
}

export function readSettings(environment: Environment) {
  const file = required(environment, 'SKIFF_ENDPOINT_FILE', "the endpoint's settings as JSON");
  return parseEndpointSettings(readRequired('SKIFF_ENDPOINT_FILE', file));
}

function required(environment: Environment, name: string, meaning: string): string {
  const value = environment.text(name);
  if (value === undefined) throw new ConfigurationError(`${name} is missing: ${meaning}`);
  return value;
}

function readRequired(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new ConfigurationError(`${name}: cannot read ${file} (${code})`);
  }
}
