import { accessChanges } from './access-changes.ts';
import { apiServerDown } from './api-server-down.ts';
import { blackholedWatch } from './blackholed-watch.ts';
import { leaderKills } from './leader-kills.ts';
import { randomResources } from './random-resources.ts';
import type { Scenario } from './scenario.ts';
import { steadyState } from './steady-state.ts';

export const SCENARIOS: readonly Scenario[] = [leaderKills, apiServerDown, blackholedWatch, accessChanges, randomResources, steadyState];
