import type { FileEvent } from './file-event.ts';
import type { LoginEvent } from './login-event.ts';

/** Any event of Skiff's. */
export type SkiffEvent = FileEvent | LoginEvent;

/** Whether an event tells of a file or directory: it has a path and a blob then. */
export function isFileEvent(event: SkiffEvent): event is FileEvent {
  return 'path' in event.data;
}
