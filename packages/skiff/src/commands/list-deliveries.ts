import type { DeliveryRecord, DeliverySearch, DeliveryState } from '@skiff/database/delivery-history';
import { createDeliveryHistory } from '@skiff/database/mysql-delivery-history';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from '../modes/mode.ts';
import { withEndpointRows } from './command-database.ts';
import { formatPosition, positionOption } from './delivery-position.ts';
import { SELECTION_OPTIONS, selectionOf } from './delivery-selection.ts';
import { formatTable, toJsonLines } from './format-output.ts';
import { integerOption, jsonOption, parseOptions } from './parse-options.ts';

const STATES: readonly DeliveryState[] = ['waiting', 'succeeded', 'dead'];

/** `skiff deliveries list`: what became of events at the targets, the last to change first. */
export async function listDeliveries(context: ModeContext): Promise<number> {
  const options = parseOptions(context.args.slice(1), {
    ...SELECTION_OPTIONS,
    state: { type: 'string' },
    before: { type: 'string' },
    after: { type: 'string' },
    limit: { type: 'string' },
    output: { type: 'string', short: 'o' },
  });
  const { eventId, ...selection } = selectionOf(options);
  const state = stateOption(options.state);
  const limit = integerOption('limit', options.limit, { fallback: 100, max: 1_000 });
  const json = jsonOption(options.output);
  const page = {
    ...selection,
    limit,
    ...(options.before === undefined ? {} : { before: timeOption(options.before) }),
    ...(options.after === undefined ? {} : { after: positionOption(options.after) }),
  };
  const rows = await withEndpointRows(context, options.endpoint, ({ database, endpointId }) => {
    const common = { ...page, endpointId };
    const search: DeliverySearch =
      eventId === undefined ? { ...common, state: state ?? 'dead' } : { ...common, eventId, ...(state === undefined ? {} : { state }) };
    return createDeliveryHistory(database).search(search);
  });
  process.stdout.write(json ? toJsonLines(rows.map(toJson)) : table(rows));
  const last = rows.at(-1);
  if (rows.length === limit && last !== undefined) process.stderr.write(`only the first ${limit}; for the next: --after ${formatPosition(last)}\n`);
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
