import { listDeliveries } from '../commands/list-deliveries.ts';
import { replayDeliveries } from '../commands/replay-deliveries.ts';
import { runSubcommand } from '../commands/run-subcommand.ts';
import type { ModeContext } from './mode.ts';

/** `skiff deliveries list | replay`: for people, in a pod that has the database's address. */
export function runDeliveries(context: ModeContext): Promise<number> {
  return runSubcommand('deliveries', { list: listDeliveries, replay: replayDeliveries }, context);
}
