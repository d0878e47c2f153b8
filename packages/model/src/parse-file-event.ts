import { Compile } from 'typebox/compile';
import { FileEvent } from './file-event.ts';

const validator = Compile(FileEvent);

/** The value as an event of Skiff's, or undefined when it is none. Attributes that the schema does not know are kept. */
export function parseFileEvent(value: unknown): FileEvent | undefined {
  return validator.Check(value) ? value : undefined;
}
