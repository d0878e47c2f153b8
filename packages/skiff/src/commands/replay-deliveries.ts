import { setTimeout as sleep } from 'node:timers/promises';
import { createDeliveryHistory } from '@skiff/database/mysql-delivery-history';
import { ConfigurationError } from '../configuration/environment.ts';
import type { ModeContext } from '../modes/mode.ts';
import { withEndpointRows } from './command-database.ts';
import { SELECTION_OPTIONS, selectionOf } from './delivery-selection.ts';
import { integerOption, parseOptions } from './parse-options.ts';

const PAUSE_MS = 50;
const PROGRESS_EVERY_MS = 1_000;

/**
 * `skiff deliveries replay`: makes dead deliveries due again; the routers deliver them. In batches, each a transaction of its own, and
 * only those that are dead at the start: what dies again meanwhile stays dead.
 */
export async function replayDeliveries(context: ModeContext): Promise<number> {
  const options = parseOptions(context.args.slice(1), {
    ...SELECTION_OPTIONS,
    state: { type: 'string' },
    all: { type: 'boolean' },
    'dry-run': { type: 'boolean' },
    'batch-size': { type: 'string' },
  });
  const { endpoint, state = 'dead', all = false } = options;
  const selected = selectionOf(options);
  const batchSize = integerOption('batch-size', options['batch-size'], { fallback: 500, max: 10_000 });
  if (state !== 'dead') throw new ConfigurationError('only dead deliveries can be replayed: --state dead');
  if (selected.route === undefined && selected.eventId === undefined && !all)
    throw new ConfigurationError('which? --route NAMESPACE/NAME, --event ID or --all');
  return withEndpointRows(context, endpoint, async ({ database, endpointId }) => {
    const history = createDeliveryHistory(database);
    const selection = { ...selected, endpointId };
    const { replayable, withoutMessage, asOf } = await history.replayable(selection);
    const rest = withoutMessage === 0 ? '' : `; ${withoutMessage} stay dead, since their message was not kept`;
    if (options['dry-run'] === true) {
      process.stdout.write(`${replayable} dead deliveries would be replayed${rest}\n`);
      return 0;
    }
    let replayed = 0;
    let toldAt = performance.now();
    for (let batch = batchSize; batch === batchSize; ) {
      batch = await history.replay({ ...selection, before: asOf, limit: batchSize });
      replayed += batch;
      if (performance.now() - toldAt >= PROGRESS_EVERY_MS) {
        toldAt = performance.now();
        process.stderr.write(`${replayed} of ${replayable}\n`);
      }
      if (batch === batchSize) await sleep(PAUSE_MS);
    }
    process.stdout.write(`${replayed} dead deliveries are due again${rest}\n`);
    return 0;
  });
}
