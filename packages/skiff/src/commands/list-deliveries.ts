import type { DeliveryRecord, DeliverySearch, DeliveryState } from '@skiff/database/delivery-history';
import { createDeliveryHistory } from '@skiff/database/mysql-delivery-history';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from '../modes/mode.ts';
import { withEndpointRows } from './command-database.ts';
import { formatTable } from './format-table.ts';
import { integerOption, parseOptions, routeOption } from './parse-options.ts';

const STATES: readonly DeliveryState[] = ['waiting', 'succeeded', 'dead'];

/** `skiff deliveries list`: what became of events at the targets, the last to change first. */
export async function listDeliveries(context: ModeContext): Promise<number> {
  const options = parseOptions(context.args.slice(1), {
    endpoint: { type: 'string' },
    route: { type: 'string' },
    target: { type: 'string' },
    event: { type: 'string' },
    state: { type: 'string' },
    before: { type: 'string' },
    limit: { type: 'string' },
    output: { type: 'string', short: 'o' },
  });
  const { endpoint, target, event, before, output } = options;
  const route = routeOption(options.route);
  const state = stateOption(options.state);
  const limit = integerOption('limit', options.limit, { fallback: 100, max: 1_000 });
  if (output !== undefined && output !== 'json') throw new ConfigurationError('--output is json, or left out for a table');
  const beforeTime = before === undefined ? undefined : timeOption(before);
  const rows = await withEndpointRows(context, endpoint, ({ database, endpointId }) => {
    const common = {
      endpointId,
      limit,
      ...(route === undefined ? {} : { route }),
      ...(target === undefined ? {} : { target }),
      ...(beforeTime === undefined ? {} : { before: beforeTime }),
    };
    const search: DeliverySearch =
      event === undefined ? { ...common, state: state ?? 'dead' } : { ...common, eventId: event, ...(state === undefined ? {} : { state }) };
    return createDeliveryHistory(database).search(search);
  });
  process.stdout.write(output === 'json' ? rows.map((row) => `${JSON.stringify(toJson(row))}\n`).join('') : table(rows));
  if (rows.length === limit) process.stderr.write(`only the first ${limit}; for the next: --before ${rows.at(-1)?.updatedAt.toISOString()}\n`);
  return 0;
}

function toJson({ endpointId: _endpointId, dueAt, ...row }: DeliveryRecord) {
  return { ...row, ...(dueAt === null ? {} : { dueAt }) };
}

function table(rows: readonly DeliveryRecord[]): string {
  const lines = rows.map(({ updatedAt, state, attempt, route, target, eventId, detail }) => [
    updatedAt.toISOString(),
    state,
    String(attempt),
    route,
    target,
    eventId,
    detail,
  ]);
  return formatTable(['CHANGED', 'STATE', 'ATTEMPTS', 'ROUTE', 'TARGET', 'EVENT', 'DETAIL'], lines);
}

function stateOption(text: string | undefined): DeliveryState | undefined {
  if (text === undefined) return undefined;
  const state = STATES.find((known) => known === text);
  if (state === undefined) throw new ConfigurationError(`--state is ${STATES.join(', ')}`);
  return state;
}

function timeOption(text: string): Date {
  const time = new Date(text);
  if (!/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) || Number.isNaN(time.getTime()))
    throw new ConfigurationError('--before is a time such as 2026-01-31T12:00:00Z');
  return time;
}
