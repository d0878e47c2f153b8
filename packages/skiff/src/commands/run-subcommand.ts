import { ConfigurationError } from '../configuration/environment.ts';
import type { Mode, ModeContext } from '../modes/mode.ts';
import { CommandError } from './command-database.ts';

/** Runs the one that the first argument names. What failed is told in a line on standard error. @throws {ConfigurationError} */
export async function runSubcommand(name: string, commands: Readonly<Record<string, Mode>>, context: ModeContext): Promise<number> {
  const [wanted = ''] = context.args;
  const run = Object.hasOwn(commands, wanted) ? commands[wanted] : undefined;
  if (run === undefined) throw new ConfigurationError(`skiff ${name} ${Object.keys(commands).join(' | ')}; skiff ${name} --help says more`);
  try {
    return await run(context);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    process.stderr.write(`skiff: ${error.message}\n`);
    return 1;
  }
}
