import { type Step, steps } from './steps.ts';
import { RULES, type Rules, type World } from './world.ts';

export interface Scenario {
  /** By upload: true for a single put. */
  readonly uploads: Readonly<Record<string, boolean>>;
  /** Whether a version exists before. */
  readonly overwrite: boolean;
  readonly outside: number;
  readonly crashes: number;
}

function initialWorld({ uploads, overwrite, outside, crashes }: Scenario): World {
  const ids = Object.keys(uploads);
  const each = <Value>(value: (id: string) => Value) => Object.fromEntries(ids.map((id) => [id, value(id)]));
  return {
    rows: each(() => ({ state: 'none', epoch: 0, owner: null, prior: null, everAbsent: false, sequence: 0, lookAgain: false }) as const),
    lock: null,
    blob: overwrite ? { id: 'before', etag: 1 } : null,
    staged: [],
    etags: 1,
    sequences: 0,
    versions: [],
    events: [],
    acknowledged: [],
    writers: each((id) => ({ step: 'idle', single: uploads[id] === true, alive: true, epoch: 0, prior: null, tries: 0, answer: null }) as const),
    recoveries: each(() => ({ step: 'idle', epoch: 0 }) as const),
    network: [],
    outside,
    crashes,
  };
}

/** What must hold in every world, and what only when nothing can happen any more. Returns the claim that is broken. */
function broken(world: World, settled: boolean): string | undefined {
  const events = world.events.map((event) => event.id);
  const unevented = world.acknowledged.find((id) => !events.includes(id));
  if (unevented !== undefined) return `acknowledged without an event: ${unevented}`;
  const uncommitted = events.find((id) => !world.versions.includes(id));
  if (uncommitted !== undefined) return `an event without a committed version: ${uncommitted}`;
  if (new Set(events).size !== events.length) return 'two events of one upload';
  if (!settled) return undefined;
  if (world.blob !== null && world.blob.id in world.rows && !events.includes(world.blob.id)) return `a blob without its event: ${world.blob.id}`;
  if (!inOrder(world)) return 'sequences contradict the order of the versions';
  // A parked upload waits for its user, and gives way to any other writer.
  const holder = world.lock === null ? undefined : world.rows[world.lock];
  if (holder !== undefined && (holder.state !== 'open' || holder.owner !== null)) return 'the path stays locked';
  return undefined;
}

/** A request that was sent twice may land twice: one of its landings must fit the order of the sequences. */
function inOrder(world: World): boolean {
  let from = 0;
  for (const event of world.events.toSorted((a, b) => a.sequence - b.sequence)) {
    const version = world.versions.indexOf(event.id, from);
    if (version === -1) return false;
    from = version + 1;
  }
  return true;
}

export interface Exploration {
  readonly worlds: number;
  readonly settled: number;
  /** The shortest way to a broken claim. */
  readonly violation: { readonly claim: string; readonly trace: readonly string[] } | undefined;
}

/** Breadth first over every interleaving. @throws {RangeError} above `maxWorlds`: an exploration that is cut off proves nothing. */
export function explore(scenario: Scenario, rules: Partial<Rules> = {}, maxWorlds = 2_000_000): Exploration {
  const all: Rules = { ...RULES, ...rules };
  const first = initialWorld(scenario);
  const seen = new Set([key(first)]);
  let frontier: readonly Visited[] = [{ world: first, step: undefined, from: undefined }];
  let settledWorlds = 0;
  while (frontier.length > 0) {
    const next: Visited[] = [];
    for (const visited of frontier) {
      const following = steps(visited.world, all);
      const settled = following.every((step) => isOutsideChoice(step));
      if (settled) settledWorlds++;
      const claim = broken(visited.world, settled);
      if (claim !== undefined) return { worlds: seen.size, settled: settledWorlds, violation: { claim, trace: trace(visited) } };
      for (const step of following) {
        const known = key(step.next);
        if (seen.has(known)) continue;
        seen.add(known);
        next.push({ world: step.next, step: step.name, from: visited });
      }
    }
    if (seen.size > maxWorlds) throw new RangeError(`more than ${maxWorlds} worlds`);
    frontier = next;
  }
  return { worlds: seen.size, settled: settledWorlds, violation: undefined };
}

interface Visited {
  readonly world: World;
  readonly step: string | undefined;
  readonly from: Visited | undefined;
}

/** Outside tools and crashes may happen, but need not: without them a world is at rest. */
function isOutsideChoice(step: Step): boolean {
  return step.name.startsWith('an outside tool') || step.name.endsWith(' crashes');
}

function key(world: World): string {
  return JSON.stringify(world);
}

function trace(visited: Visited): readonly string[] {
  const names: string[] = [];
  for (let at: Visited | undefined = visited; at?.step !== undefined; at = at.from) names.unshift(at.step);
  return names;
}
