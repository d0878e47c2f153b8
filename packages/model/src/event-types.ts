import { FILE_EVENT_TYPES, type FileEventType } from './file-event.ts';

/** What users do without changing anything. Best effort: kept in memory until sent, and dropped (and counted) when that is full. */
export const BEST_EFFORT_EVENT_TYPES = ['dev.skiff.file.downloaded', 'dev.skiff.login.succeeded', 'dev.skiff.login.failed'] as const;
export type BestEffortEventType = (typeof BEST_EFFORT_EVENT_TYPES)[number];

/** Types of CloudEvents that an endpoint can emit. */
export const EVENT_TYPES = [...FILE_EVENT_TYPES, ...BEST_EFFORT_EVENT_TYPES] as const;
export type EventType = FileEventType | BestEffortEventType;

/**
 * Whether an endpoint emits events of a type. `selected` undefined: all that are guaranteed, also those of a later version whose
 * operation this one recovers.
 */
export function emitsEvent(selected: readonly string[] | undefined, type: string): boolean {
  return selected === undefined ? !isBestEffort(type) : selected.includes(type);
}

export function isBestEffort(type: string): type is BestEffortEventType {
  const types: readonly string[] = BEST_EFFORT_EVENT_TYPES;
  return types.includes(type);
}
