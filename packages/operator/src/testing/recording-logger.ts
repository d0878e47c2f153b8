import type { LogFields, Logger } from '@skiff/runtime/logger';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

/** A log to look into. */
export function recordingLogger(): Logger & { readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const make = (bound: LogFields): Logger => {
    const add = (level: LogLine['level']) => (fields: LogFields, message: string) => {
      lines.push({ level, message, fields: { ...bound, ...fields } });
    };
    return { debug: add('debug'), info: add('info'), warn: add('warn'), error: add('error'), child: (fields) => make({ ...bound, ...fields }) };
  };
  return { ...make({}), lines };
}
