import { explainRoutesOf } from '../commands/explain-routes.ts';
import { runSubcommand } from '../commands/run-subcommand.ts';
import type { ModeContext } from './mode.ts';

/** `skiff routes explain`: for people, in a pod that has the database's address. */
export function runRoutes(context: ModeContext): Promise<number> {
  return runSubcommand('routes', { explain: explainRoutesOf }, context);
}
