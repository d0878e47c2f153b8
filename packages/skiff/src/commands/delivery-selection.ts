import type { DeliverySelection } from '@skiff/database/delivery-history';
import { routeOption } from './parse-options.ts';

/** The options by which people say which deliveries they mean. */
export const SELECTION_OPTIONS = {
  endpoint: { type: 'string' },
  route: { type: 'string' },
  target: { type: 'string' },
  event: { type: 'string' },
} as const;

/** The deliveries of an endpoint that these options mean. @throws {ConfigurationError} */
export function selectionOf(options: Readonly<Partial<Record<keyof typeof SELECTION_OPTIONS, string>>>): Omit<DeliverySelection, 'endpointId'> {
  const { target, event } = options;
  const route = routeOption(options.route);
  return {
    ...(route === undefined ? {} : { route }),
    ...(target === undefined ? {} : { target }),
    ...(event === undefined ? {} : { eventId: event }),
  };
}
