import { pino } from 'pino';

/** Structured log: a constant message and fields. `warn` and above mean that somebody should look. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** The same log with fields bound to each line. */
  child(fields: LogFields): Logger;
}

export type LogFields = Readonly<Record<string, unknown>>;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** JSON lines on standard output, or on standard error when `stream` is `stderr`. Errors go in the field `err`. */
export function createLogger(options: { readonly level: LogLevel; readonly name: string; readonly stream?: 'stdout' | 'stderr' }): Logger {
  return pino(
    {
      level: options.level,
      // In place of process id and host name, which the platform knows.
      base: { name: options.name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // A second net below Secret<T>: these names must not be logged, but if they are, they are empty.
      redact: {
        paths: ['password', '*.password', 'token', '*.token', 'authorization', '*.authorization', 'connectionString', '*.connectionString'],
        censor: '[redacted]',
      },
    },
    pino.destination({ fd: options.stream === 'stderr' ? 2 : 1, sync: true }),
  );
}

/** For tests and for parts that have nothing to say. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
