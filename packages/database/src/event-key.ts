import { createHash } from 'node:crypto';

/** Other systems' ids have any length, case and trailing spaces, which a text key would fold or refuse. */
export function eventKey(eventId: string): Buffer {
  return createHash('sha256').update(eventId).digest();
}
