import type { Checks } from '../../support/checks.ts';
import type { Random } from '../../support/random.ts';
import { collect, settle } from '../collect.ts';
import type { FaultRig } from '../fault-rig.ts';
import type { Version } from '../history.ts';
import type { Traffic } from '../traffic.ts';
import { extras, VALIDATORS } from '../validators.ts';

export interface ScenarioContext {
  readonly rig: FaultRig;
  readonly random: Random;
  readonly checks: Checks;
  /** How much more than the quick run: rounds, seconds. */
  readonly long: boolean;
  readonly progress: (line: string) => void;
}

export interface Scenario {
  readonly name: string;
  readonly run: (context: ScenarioContext) => Promise<void>;
}

const SHOWN_PROBLEMS = 5;
/** D1: recovery within a minute of the last fault. */
const RECOVERY_LIMIT_S = 60;

export interface Verdict {
  readonly name: string;
  /** Blob name of the directory in which the scenario has worked. */
  readonly directory: string;
  readonly traffic: Traffic;
  readonly readings?: readonly Version[];
}

/** Waits until all is settled, then lets every validator judge. */
export async function judge({ rig, checks, progress }: ScenarioContext, { name, directory, traffic, readings = [] }: Verdict): Promise<void> {
  const settledMs = await settle(rig, 3 * RECOVERY_LIMIT_S * 1_000);
  checks.add(`${name}: settled after the last fault`, settledMs / 1000, 's', `<= ${RECOVERY_LIMIT_S}`);
  const history = await collect(rig, directory, { attempts: traffic.attempts, readings });
  checks.add(`${name}: uploads acknowledged`, traffic.acknowledged, 'uploads', '>= 1');
  checks.add(`${name}: events of commits that recovery finished`, extras(history), 'events');
  for (const [claim, validate] of Object.entries(VALIDATORS)) {
    const problems = validate(history);
    checks.add(`${name}: ${claim}`, problems.length, 'cases', '== 0');
    for (const problem of problems.slice(0, SHOWN_PROBLEMS)) progress(`  ✘ ${claim}: ${problem}`);
  }
}
