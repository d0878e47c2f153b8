import type { Checks } from '../../support/checks.ts';
import type { Random } from '../../support/random.ts';
import type { OperatorRig } from '../operator-rig.ts';

export interface ScenarioContext {
  readonly rig: OperatorRig;
  readonly checks: Checks;
  readonly random: Random;
  /** `short` for every run of the tests, `full` for what was promised. */
  readonly size: 'short' | 'full';
  readonly progress: (line: string) => void;
}

export interface Scenario {
  readonly name: string;
  /** Where it has its resources, so that several may share a rig one after the other. */
  readonly namespaces: readonly string[];
  /** Another test has it in a size of its own, or it is measured alone only. */
  readonly longOnly?: true;
  /** Ends the operators it has started. */
  readonly run: (context: ScenarioContext) => Promise<void>;
}
