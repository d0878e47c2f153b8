import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ConfigurationError } from '../configuration/environment.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

/** The options of a command, without positional arguments. @throws {ConfigurationError} that names what is not understood. */
export function parseOptions<Given extends Options>(args: readonly string[], options: Given) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    throw new ConfigurationError(cause instanceof Error ? cause.message : 'the options are not understood');
  }
}

/** @throws {ConfigurationError} */
export function integerOption(name: string, text: string | undefined, { fallback, max }: { readonly fallback: number; readonly max: number }): number {
  if (text === undefined) return fallback;
  const value = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max)) throw new ConfigurationError(`--${name} is a number from 1 to ${max}`);
  return value;
}

/** @throws {ConfigurationError} */
export function routeOption(text: string | undefined): string | undefined {
  if (text !== undefined && !/^[^/\s]+\/[^/\s]+$/.test(text)) throw new ConfigurationError('--route is NAMESPACE/NAME of an EventRoute');
  return text;
}

/** True for JSON lines, false for people. @throws {ConfigurationError} */
export function jsonOption(output: string | undefined): boolean {
  if (output !== undefined && output !== 'json') throw new ConfigurationError('--output is json, or left out for text');
  return output === 'json';
}
