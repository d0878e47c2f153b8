import type { EventRoute, RouteTarget } from '@skiff/model/event-route';
import { objectKey } from '@skiff/model/object-meta';
import type { RouteRow } from '@skiff/model/resource-rows';
import type { SftpEndpoint } from '@skiff/model/sftp-endpoint';
import { GlobError, parseGlob } from '../glob.ts';
import { compileRouteExpression, RouteExpressionError } from '../route-expression.ts';
import type { NamespaceLabels } from './admitted-namespaces.ts';
import type { Obstacle, Verdict } from './complete-conditions.ts';
import { endpointKeyOf, notAllowedByEndpoint } from './endpoint-ref.ts';
import { type RouteSecrets, resolveRouteSecrets } from './route-secrets.ts';

export interface RouteTranslationInput {
  readonly endpoint: SftpEndpoint;
  /** All routes; those of other endpoints are left out of the answer. */
  readonly routes: readonly EventRoute[];
  /** Absent: a namespace is known by its name alone. */
  readonly namespaceLabels?: NamespaceLabels | undefined;
  readonly secrets: RouteSecrets;
}

export interface TranslatedRoute {
  readonly route: EventRoute;
  /** What to write; undefined: nothing of this object is in force, and a row that it had goes. */
  readonly row: RouteRow | undefined;
  readonly verdict: Verdict;
}

/**
 * The rows of an endpoint's routes and what to tell their owners. Pure. A route is in force as a whole or not at all; where a secret is
 * missing, the deliveries of that target wait for it.
 */
export function translateRoutes(input: RouteTranslationInput): readonly TranslatedRoute[] {
  const { endpoint, routes } = input;
  return routes
    .filter((route) => endpointKeyOf(route) === objectKey(endpoint.metadata) && route.metadata.deletionTimestamp === undefined)
    .map((route) => translateRoute(input, route));
}

function translateRoute({ endpoint, secrets, namespaceLabels }: RouteTranslationInput, route: EventRoute): TranslatedRoute {
  const { metadata, spec } = route;
  const errors = [...globErrors(spec.match?.paths ?? []), ...expressionErrors(spec.match?.expression), ...spec.targets.flatMap(targetErrors)];
  const invalid: Obstacle | undefined = errors.length === 0 ? undefined : { reason: 'Invalid', message: errors.join('; ') };
  const refused = notAllowedByEndpoint(route, endpoint, namespaceLabels) ?? invalid;
  const { targets, obstacle } = resolveRouteSecrets(metadata.namespace, spec.targets, secrets);
  const row = refused === undefined ? toRow(route, targets) : undefined;
  const unresolved = refused === undefined ? obstacle : undefined;
  const verdict = { observedGeneration: metadata.generation, refused, unresolved, notReady: withoutEvents(endpoint), inForce: row !== undefined };
  return { route, row, verdict };
}

function toRow({ metadata, spec }: EventRoute, targets: RouteRow['targets']): RouteRow {
  return { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid, match: spec.match ?? null, targets };
}

function withoutEvents({ metadata, spec }: SftpEndpoint): Obstacle | undefined {
  if (spec.events !== undefined) return undefined;
  return { reason: 'Pending', message: `SftpEndpoint ${objectKey(metadata)} publishes no events: set its spec.events` };
}

function globErrors(paths: readonly string[]): readonly string[] {
  return paths.flatMap((path) => {
    try {
      parseGlob(path);
      return [];
    } catch (error) {
      if (!(error instanceof GlobError)) throw error;
      return [`match.paths: ${error.message}`];
    }
  });
}

function expressionErrors(expression: string | undefined): readonly string[] {
  if (expression === undefined) return [];
  try {
    compileRouteExpression(expression);
    return [];
  } catch (error) {
    if (!(error instanceof RouteExpressionError)) throw error;
    return [`match.expression: ${error.message}`];
  }
}

function targetErrors({ name, http, delivery }: RouteTarget): readonly string[] {
  const errors: string[] = [];
  const url = http === undefined ? undefined : URL.parse(http.url);
  if (url === null) errors.push(`target ${name}: http.url is not a URL`);
  // Anybody who may read the route would read the password.
  else if (url !== undefined && (url.username !== '' || url.password !== '')) errors.push(`target ${name}: http.url must not contain a user name or password`);
  // A signature covers the body before it is sent, and a file has no content mode.
  if (http?.body === 'file' && http.signing !== undefined) errors.push(`target ${name}: http.signing does not go with body: file`);
  if (http?.body === 'file' && http.format !== undefined) errors.push(`target ${name}: http.format does not go with body: file`);
  const { minBackoffSeconds, maxBackoffSeconds } = delivery ?? {};
  if (minBackoffSeconds !== undefined && maxBackoffSeconds !== undefined && minBackoffSeconds > maxBackoffSeconds)
    errors.push(`target ${name}: delivery.minBackoffSeconds is greater than maxBackoffSeconds`);
  return errors;
}
