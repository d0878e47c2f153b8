import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { HostKeyError, readHostKey } from '@skiff/credentials/host-key';
import { type EndpointSettings, EndpointSettingsError, parseEndpointSettings } from '@skiff/model/endpoint-settings';
import { errorCodeOf } from '@skiff/model/error-code';
import { reloadSettings } from '@skiff/policy/reloadable-settings';
import { type BackgroundTask, startBackgroundTask } from '@skiff/runtime/background-task';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import { ConfigurationError, type Environment } from '../configuration/environment.ts';

/** OpenSSH's names of private host keys. */
const KEY_FILE = /^ssh_host_[a-z0-9]+_key$/;
/** The kubelet brings a changed ConfigMap within about a minute; looking costs nothing. */
const LOOK_EVERY_MS = 2_000;

/** The endpoint's settings, from the file that the operator has mounted. @throws {ConfigurationError} */
export function readSettings(environment: Environment): EndpointSettings {
  const file = required(environment, 'SKIFF_ENDPOINT_FILE', "the endpoint's settings as JSON");
  try {
    return parseEndpointSettings(readFileSync(file, 'utf8'));
  } catch (cause) {
    if (cause instanceof EndpointSettingsError) throw cause;
    throw unreadable('SKIFF_ENDPOINT_FILE', file, cause);
  }
}

/** The private host keys, from files, or from folders by OpenSSH's file names. @throws {ConfigurationError} */
export function readHostKeys(environment: Environment): readonly Secret<string>[] {
  const paths = required(environment, 'SKIFF_HOST_KEY_FILES', 'paths of private host keys, or of folders of them, separated by commas').split(',');
  const files = paths.map((path) => path.trim()).flatMap(filesAt);
  if (files.length === 0) throw new ConfigurationError(`SKIFF_HOST_KEY_FILES: there is no ssh_host_*_key in ${paths.join(', ')}`);
  return files.map((file) => {
    try {
      return readHostKey(readFileSync(file, 'utf8')).privateKey;
    } catch (cause) {
      if (cause instanceof HostKeyError) throw new ConfigurationError(`SKIFF_HOST_KEY_FILES: ${file}: ${cause.message}`);
      throw unreadable('SKIFF_HOST_KEY_FILES', file, cause);
    }
  });
}

export interface Reloadable {
  updateSettings(settings: EndpointSettings): void;
  setHostKeys(hostKeys: readonly Secret<string>[]): void;
}

/** Hands on what changes in the mounted files, without a restart. What cannot be read stays as it was, and the log says so. */
export function followMounts(props: {
  readonly environment: Environment;
  readonly server: Reloadable;
  readonly settings: EndpointSettings;
  readonly hostKeys: readonly Secret<string>[];
  readonly logger: Logger;
}): BackgroundTask {
  const { environment, server, logger } = props;
  let settings = props.settings;
  let keys = props.hostKeys.map((key) => key.reveal());
  return startBackgroundTask({
    name: 'mounted-endpoint',
    intervalMs: LOOK_EVERY_MS,
    logger,
    run: async () => {
      const readNow = reloadSettings(settings, readSettings(environment));
      if (!isDeepStrictEqual(readNow, settings)) {
        server.updateSettings(readNow);
        settings = readNow;
        logger.info({}, 'endpoint settings changed');
      }
      const keysNow = readHostKeys(environment);
      const texts = keysNow.map((key) => key.reveal());
      if (!isDeepStrictEqual(texts, keys)) {
        server.setHostKeys(keysNow);
        keys = texts;
        logger.info({ hostKeys: texts.length }, 'host keys changed');
      }
    },
  });
}

function filesAt(path: string): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter((name) => KEY_FILE.test(name))
      .sort()
      .map((name) => join(path, name));
  } catch (cause) {
    throw unreadable('SKIFF_HOST_KEY_FILES', path, cause);
  }
}

function required(environment: Environment, name: string, meaning: string): string {
  const value = environment.text(name);
  if (value === undefined) throw new ConfigurationError(`${name} is missing: ${meaning}`);
  return value;
}

function unreadable(name: string, file: string, cause: unknown): ConfigurationError {
  const code = errorCodeOf(cause) ?? 'unreadable';
  return new ConfigurationError(`${name}: cannot read ${file} (${code})`);
}
