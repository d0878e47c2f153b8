import type { Random } from '../../faults/random.ts';
import type { Checks } from '../../support/checks.ts';
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

/** The value that so many percent of the others do not exceed (nearest rank). Undefined for none. */
export function percentile(values: readonly number[], percent: number): number | undefined {
  return values.toSorted((left, right) => left - right)[Math.ceil((values.length * percent) / 100) - 1];
}
