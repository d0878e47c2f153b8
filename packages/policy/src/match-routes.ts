import { objectKey } from '@skiff/model/object-meta';
import type { RouteRow } from '@skiff/model/resource-rows';
import { isFileEvent, type SkiffEvent } from '@skiff/model/skiff-event';
import { type Glob, parseGlob } from './glob.ts';
import { compileRouteExpression, type RouteExpression } from './route-expression.ts';

/** A message as routes see it. */
export interface RoutedMessage {
  /** Undefined: no event of ours, but JSON of another system. */
  readonly event: SkiffEvent | undefined;
  /** The parsed JSON body. */
  readonly json: unknown;
  /** Size of the body as it came, in bytes. */
  readonly sizeBytes: number;
}

export interface MatchedTarget<Route extends RouteRow = RouteRow> {
  readonly route: Route;
  readonly target: Route['targets'][number];
}

/** What one route says to one message. */
export interface RouteExplanation {
  /** `namespace/name` */
  readonly route: string;
  readonly taken: boolean;
  /** Every condition that does not hold, in words; empty when the route takes the message. */
  readonly reasons: readonly string[];
  /** Names of the route's targets, whether or not they get the message. */
  readonly targets: readonly string[];
}

/**
 * The targets that a message goes to, in the order of routes and targets. For a rename, `path` is the new path; a login has none, and no route with `paths` takes it. A message that is no
 * event of ours is taken by routes whose only condition, if any, is an expression.
 *
 * @throws {GlobError | RouteExpressionError} when a stored condition is damaged: they are checked when routes are translated.
 */
export function matchRoutes<Route extends RouteRow>(routes: readonly Route[], message: RoutedMessage): readonly MatchedTarget<Route>[] {
  return routes.filter((route) => takes(route.match, message)).flatMap((route) => route.targets.map((target) => ({ route, target })));
}

/** Dry run: which routes and targets would take the message, and why the others would not. Throws as {@link matchRoutes}. */
export function explainRoutes(routes: readonly RouteRow[], message: RoutedMessage): readonly RouteExplanation[] {
  return routes.map((route) => {
    const reasons = objectionsOf(route.match ?? {}, message);
    return { route: objectKey(route), taken: reasons.length === 0, reasons, targets: route.targets.map(({ name }) => name) };
  });
}

type Match = NonNullable<RouteRow['match']>;

function takes(match: RouteRow['match'], { event, json, sizeBytes }: RoutedMessage): boolean {
  const { types, usernames, paths, expression } = match ?? {};
  if (event === undefined && (types !== undefined || usernames !== undefined || paths !== undefined)) return false;
  if (event !== undefined) {
    if (types?.includes(event.type) === false || usernames?.includes(event.data.username) === false) return false;
    if (paths !== undefined && !matchesPath(paths, event)) return false;
  }
  return expression === undefined || expressionOf(match ?? {}, expression).evaluate({ event, body: json, sizeBytes }) === 'true';
}

function objectionsOf(match: Match, { event, json, sizeBytes }: RoutedMessage): readonly string[] {
  const { types, usernames, paths, expression } = match;
  const reasons: string[] = [];
  if (event === undefined && (types !== undefined || usernames !== undefined || paths !== undefined)) {
    reasons.push('the message is no event of Skiff, and the route asks for types, usernames or paths');
  }
  if (event !== undefined) {
    if (types?.includes(event.type) === false) reasons.push(`match.types does not list ${event.type}`);
    if (usernames?.includes(event.data.username) === false) reasons.push(`match.usernames does not list ${event.data.username}`);
    if (paths !== undefined && !matchesPath(paths, event))
      reasons.push(isFileEvent(event) ? `match.paths has no glob for ${event.data.path}` : 'match.paths is given, and a login has no path');
  }
  if (expression === undefined) return reasons;
  const result = expressionOf(match, expression).evaluate({ event, body: json, sizeBytes });
  if (result === 'false') reasons.push('match.expression is false');
  else if (result !== 'true') reasons.push(`match.expression cannot be evaluated: ${result.failed}`);
  return reasons;
}

// Compiled once per row, and gone with the row.
const compiledGlobs = new WeakMap<readonly string[], readonly Glob[]>();
const compiledExpressions = new WeakMap<Match, RouteExpression>();

/** An event without a path is in none. */
function matchesPath(paths: readonly string[], event: SkiffEvent): boolean {
  return isFileEvent(event) && globsOf(paths).some((glob) => glob.matches(event.data.path));
}

function globsOf(paths: readonly string[]): readonly Glob[] {
  const known = compiledGlobs.get(paths);
  if (known !== undefined) return known;
  const globs = paths.map(parseGlob);
  compiledGlobs.set(paths, globs);
  return globs;
}

function expressionOf(match: Match, text: string): RouteExpression {
  const known = compiledExpressions.get(match);
  if (known !== undefined) return known;
  const expression = compileRouteExpression(text);
  compiledExpressions.set(match, expression);
  return expression;
}
