import type { FileEvent } from '@skiff/model/file-event';
import type { RouteRow } from '@skiff/model/resource-rows';
import { type Glob, parseGlob } from './glob.ts';

export interface MatchedTarget<Route extends RouteRow = RouteRow> {
  readonly route: Route;
  readonly target: Route['targets'][number];
}

/**
 * The targets that an event goes to, in the order of routes and targets. `undefined` stands for a message that is no event of ours:
 * only routes without any condition take it. For a rename, `path` is the new path.
 *
 * @throws {GlobError} when a stored glob is damaged: globs are checked when routes are translated.
 */
export function matchRoutes<Route extends RouteRow>(routes: readonly Route[], event: FileEvent | undefined): readonly MatchedTarget<Route>[] {
  return routes.filter((route) => takes(route.match, event)).flatMap((route) => route.targets.map((target) => ({ route, target })));
}

function takes(match: RouteRow['match'], event: FileEvent | undefined): boolean {
  const { types, usernames, paths } = match ?? {};
  if (event === undefined) return types === undefined && usernames === undefined && paths === undefined;
  return (
    (types?.includes(event.type) ?? true) &&
    (usernames?.includes(event.data.username) ?? true) &&
    (paths === undefined || globsOf(paths).some((glob) => glob.matches(event.data.path)))
  );
}

// Compiled once per list of a row, and gone with the row.
const compiled = new WeakMap<readonly string[], readonly Glob[]>();

function globsOf(paths: readonly string[]): readonly Glob[] {
  const known = compiled.get(paths);
  if (known !== undefined) return known;
  const globs = paths.map(parseGlob);
  compiled.set(paths, globs);
  return globs;
}
