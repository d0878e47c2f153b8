import type { Arrival, Attempt, History, Version } from './history.ts';

/** Each returns what contradicts its claim: one line per case, empty when it holds. */
export type Validator = (history: History) => readonly string[];

function byBlob<Item extends { readonly blob: string }>(items: readonly Item[]): ReadonlyMap<string, readonly Item[]> {
  return Map.groupBy(items, (item) => item.blob);
}

/** What was acknowledged is there, unless something that began before its acknowledgement or came after it has replaced it. */
export const acknowledgedDurable: Validator = ({ attempts, versions }) => {
  const finals = new Map(versions.map((version) => [version.blob, version]));
  const known = new Map(attempts.map((attempt) => [attempt.id, attempt]));
  return attempts.flatMap((attempt) => {
    if (attempt.outcome !== 'acknowledged') return [];
    const final = finals.get(attempt.blob);
    if (final === undefined) return [`${attempt.path}: acknowledged, but not there`];
    if (final.attempt === attempt.id) return [];
    const successor = final.attempt === undefined ? undefined : known.get(final.attempt);
    if (successor === undefined) return [`${attempt.path}: acknowledged, but what is there is of no attempt`];
    if (successor.endedMs >= attempt.startedMs) return [];
    return [`${attempt.path}: acknowledged, but an older attempt stands there`];
  });
};

/** Every version that anybody has seen is one attempt's content, whole, on the path it was sent to. */
export const noTorn: Validator = ({ attempts, readings, versions }) => {
  const known = new Map(attempts.map((attempt) => [attempt.id, attempt]));
  const tears = (version: Version): string[] => {
    const attempt = version.attempt === undefined ? undefined : known.get(version.attempt);
    if (attempt === undefined) return [`${version.blob}: content of no attempt (${version.sizeBytes} bytes)`];
    if (attempt.blob !== version.blob) return [`${version.blob}: content of ${attempt.blob}`];
    return attempt.sizeBytes === version.sizeBytes ? [] : [`${version.blob}: ${version.sizeBytes} bytes of ${attempt.sizeBytes}`];
  };
  return [...readings, ...versions].flatMap(tears);
};

/** Unique events, by id. */
function uniqueEvents(arrivals: readonly Arrival[]): ReadonlyMap<string, Arrival> {
  return new Map(arrivals.map((arrival) => [arrival.id, arrival]));
}

/** acknowledged ⊆ unique event ids ⊆ committed versions, and no version stands there without its event. */
export const eventComplete: Validator = ({ attempts, versions, arrivals, operations }) => {
  const events = [...uniqueEvents(arrivals).values()];
  const problems: string[] = [];
  const eventsOf = byBlob(events);
  for (const [blob, acknowledged] of byBlob(attempts.filter((attempt) => attempt.outcome === 'acknowledged'))) {
    const count = eventsOf.get(blob)?.length ?? 0;
    if (count < acknowledged.length) problems.push(`${blob}: ${acknowledged.length} acknowledged, ${count} events`);
  }
  const sent = byBlob(attempts);
  for (const [blob, list] of eventsOf) {
    const count = sent.get(blob)?.length ?? 0;
    if (list.length > count) problems.push(`${blob}: ${list.length} events of ${count} attempts`);
  }
  const states = new Map(operations.map((operation) => [operation.id, operation.state]));
  for (const event of events) {
    const state = states.get(event.operationId);
    if (state !== 'committed' && state !== 'published') problems.push(`${event.blob}: an event of an operation that is ${state ?? 'not known'}`);
  }
  const evented = new Set(events.map((event) => event.operationId));
  for (const { blob, operationId } of versions) {
    if (operationId === undefined || !evented.has(operationId)) problems.push(`${blob}: stands there without its event`);
  }
  for (const operation of operations) {
    if ((operation.state === 'committed' || operation.state === 'published') && !evented.has(operation.id))
      problems.push(`${operation.blob}: recorded, but its event never came`);
  }
  return problems;
};

/** Events beyond the acknowledged ones: commits that recovery has finished. Not an error; listed. */
export function extras(history: History): number {
  const acknowledged = history.attempts.filter((attempt) => attempt.outcome === 'acknowledged').length;
  return uniqueEvents(history.arrivals).size - acknowledged;
}

/** On each path the version that stands there has the highest sequence, and no two events share one. */
export const pathOrder: Validator = ({ versions, arrivals }) => {
  const events = [...uniqueEvents(arrivals).values()];
  const problems: string[] = [];
  if (new Set(events.map((event) => event.sequence)).size !== events.length) problems.push('two events share a sequence');
  const eventsOf = byBlob(events);
  for (const { blob, operationId } of versions) {
    const last = eventsOf
      .get(blob)
      ?.toSorted((a, b) => (a.sequence < b.sequence ? -1 : 1))
      .at(-1);
    if (last !== undefined && last.operationId !== operationId) problems.push(`${blob}: the highest sequence is not that of the version that stands there`);
  }
  return problems;
};

/** Every event reached every target. */
export const deliveryComplete: Validator = ({ arrivals, targets }) => {
  const reached = new Set(arrivals.map((arrival) => `${arrival.target} ${arrival.id}`));
  return [...uniqueEvents(arrivals).keys()].flatMap((id) =>
    targets.filter((target) => !reached.has(`${target} ${id}`)).map((target) => `${id}: not at ${target}`),
  );
};

/** Nothing of a user lies outside their home, and no event names another user. */
export const isolation: Validator = ({ attempts, versions, arrivals }) => {
  const owners = new Map(attempts.map((attempt) => [attempt.blob, new Set<string>()]));
  for (const attempt of attempts) owners.get(attempt.blob)?.add(attempt.username);
  const strangers = versions.filter((version) => !owners.has(version.blob)).map((version) => `${version.blob}: written by nobody`);
  const wrong = arrivals
    .filter((arrival) => owners.get(arrival.blob)?.has(arrival.username) !== true)
    .map((arrival) => `${arrival.blob}: an event for ${arrival.username}`);
  return [...strangers, ...wrong];
};

/** A refusal says why. */
export const refusalsExplained: Validator = ({ attempts }) =>
  attempts
    .filter((attempt: Attempt) => attempt.outcome === 'refused' && attempt.reason.trim().length < 10)
    .map((attempt) => `${attempt.path}: refused with "${attempt.reason}"`);

export const VALIDATORS: Readonly<Record<string, Validator>> = {
  'acknowledged uploads lost': acknowledgedDurable,
  'torn versions': noTorn,
  'events lost or false': eventComplete,
  'order of a path': pathOrder,
  'deliveries missing': deliveryComplete,
  'files or events of others': isolation,
  'refusals without a reason': refusalsExplained,
};
