import { Compile } from 'typebox/compile';
import { FileEvent } from './file-event.ts';
import { LoginEvent } from './login-event.ts';
import type { SkiffEvent } from './skiff-event.ts';

const files = Compile(FileEvent);
const logins = Compile(LoginEvent);

/** The value as an event of a file, or undefined when it is none. Attributes that the schema does not know are kept. */
export function parseFileEvent(value: unknown): FileEvent | undefined {
  return files.Check(value) ? value : undefined;
}

/** The value as any event of Skiff's, or undefined when it is none. */
export function parseSkiffEvent(value: unknown): SkiffEvent | undefined {
  if (files.Check(value)) return value;
  return logins.Check(value) ? value : undefined;
}
