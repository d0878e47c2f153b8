import type { Obstacle } from './complete-conditions.ts';

/** What an endpoint's outbox holds. */
export interface OutboxFacts {
  /** Of the event that has waited longest, ms; 0: none waits. */
  readonly oldestAgeMs: number;
  /** Events that the bus did not take for themselves. */
  readonly refused: number;
}

/** From this age on something is wrong: the relay is done with an event within a second. As the chart's alert SkiffEventsWaiting. */
const LATE_AFTER_MS = 60_000;

/** Why events of an endpoint are late; undefined: none is. Without ages and numbers, which would make a new message of every look. */
export function delayedEvents({ oldestAgeMs, refused }: OutboxFacts): Obstacle | undefined {
  if (oldestAgeMs > LATE_AFTER_MS) {
    const message =
      'events wait for the event bus, the oldest for more than a minute; none is lost. See whether the queue of spec.events is there and may be entered, ' +
      'with the password of its Secret if it has one; the log of the SFTP servers says what it answers ("publishing failed")';
    return { reason: 'EventsWaiting', message };
  }
  if (refused > 0) {
    const message =
      'the event bus refused events for themselves, such as for their size; they are kept. The log of the SFTP servers says which and why; ' +
      'raise the limit of the queue and restart a server, which tries them again';
    return { reason: 'EventsRefused', message };
  }
  return undefined;
}
