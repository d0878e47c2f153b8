import type { DeliveryPosition } from '@skiff/database/delivery-history';
import { ConfigurationError } from '../configuration/environment.ts';

/** The event's id comes last: it may hold anything. */
const STORED = /^(\d{1,15})\n([^\n]+)\n([^\n]+)\n([\s\S]+)$/;

/** A delivery's place in a list, in one word. */
export function formatPosition({ updatedAt, eventId, route, target }: DeliveryPosition): string {
  return Buffer.from([updatedAt.getTime(), route, target, eventId].join('\n')).toString('base64url');
}

/** @throws {ConfigurationError} */
export function positionOption(text: string): DeliveryPosition {
  const [, updatedAt = '', route = '', target = '', eventId] = STORED.exec(Buffer.from(text, 'base64url').toString()) ?? [];
  if (eventId === undefined) throw new ConfigurationError('--after is what the page before has printed');
  return { updatedAt: new Date(Number(updatedAt)), eventId, route, target };
}
