import type { Logger } from '@skiff/runtime/logger';
import type { Configuration } from '../configuration/configuration.ts';
import type { Environment } from '../configuration/environment.ts';

/** What a mode is started with. */
export interface ModeContext {
  readonly configuration: Configuration;
  readonly environment: Environment;
  readonly logger: Logger;
  /** Arguments after the mode's name. */
  readonly args: readonly string[];
}

/** Runs until it is told to stop; returns the exit code. */
export type Mode = (context: ModeContext) => Promise<number>;
