import type { Logger } from '@skiff/runtime/logger';
import { digest } from './canonical.ts';
import type { Clock } from './clock.ts';
import type { Fence, KubeClient, Manifest, WriteOptions } from './kube-client.ts';
import type { KubeObject } from './kube-object.ts';
import { microTime } from './lease-record.ts';
import { Events } from './resource-type.ts';

export interface ObjectEvent {
  readonly regarding: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase constant, ≤ 128 characters. */
  readonly reason: string;
  /** What the controller did: CamelCase constant, ≤ 128 characters. */
  readonly action: string;
  /** For people; cut at 1,024 bytes. No secrets. */
  readonly note: string;
}

export interface EventRecorderProps {
  readonly client: Pick<KubeClient, 'create' | 'mergePatch'>;
  /** Pod name. */
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends all writing. */
  readonly signal: AbortSignal;
  /** Asked before each write. */
  readonly fence?: Fence;
}

const CONTROLLER = 'skiff.dev/operator';
/** The same event again within this time is a series: counted, and written at most once per {@link SERIES_WRITE_MS}. */
const SERIES_MS = 6 * 60_000;
const SERIES_WRITE_MS = 60_000;
/** Per object: a burst of 25, then one per 5 minutes, as client-go's spam filter. */
const BURST = 25;
const REFILL_MS = 5 * 60_000;
const MAX_SERIES = 4_096;
const MAX_OBJECTS = 4_096;
const MAX_IN_FLIGHT = 64;
const MAX_NOTE_BYTES = 1_024;
const WRITE_TIMEOUT_MS = 10_000;

interface Series {
  readonly name: string;
  readonly namespace: string;
  count: number;
  seenAtMs: number;
  writtenAtMs: number;
}

/** `events.k8s.io/v1` Events on changes of state. Best effort: never waits, never throws; what is too much is dropped and counted. */
export class EventRecorder {
  readonly #props: EventRecorderProps;
  readonly #series = new Map<string, Series>();
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();
  #inFlight = 0;
  #dropped = 0;

  constructor(props: EventRecorderProps) {
    this.#props = props;
  }

  get dropped(): number {
    return this.#dropped;
  }

  record(event: ObjectEvent): void {
    if (this.#props.signal.aborted) return;
    const nowMs = this.#props.clock.nowMs();
    const key = digest([event.regarding.metadata.uid ?? event.regarding.metadata.name, event.type, event.reason, event.action, event.note]);
    const series = this.#series.get(key);
    if (series !== undefined && nowMs - series.seenAtMs < SERIES_MS) {
      this.#repeat(series, nowMs);
      return;
    }
    if (this.#inFlight >= MAX_IN_FLIGHT || !this.#takeToken(event.regarding, nowMs)) {
      this.#dropped++;
      return;
    }
    const fresh = this.#begin(event, key, nowMs);
    this.#write(() => this.#props.client.create(Events, this.#manifest(event, fresh), this.#options()));
  }

  #begin(event: ObjectEvent, key: string, nowMs: number): Series {
    // Names need be unique in their namespace: as client-go, the object and a time.
    const stamp = `${this.#props.clock.date().getTime().toString(16)}${key.slice(0, 8)}`;
    const name = `${event.regarding.metadata.name.slice(0, 200)}.${stamp}`;
    const fresh = { name, namespace: event.regarding.metadata.namespace ?? 'default', count: 1, seenAtMs: nowMs, writtenAtMs: nowMs };
    this.#series.delete(key);
    this.#series.set(key, fresh);
    dropOldest(this.#series, MAX_SERIES);
    return fresh;
  }

  #repeat(series: Series, nowMs: number): void {
    series.count++;
    series.seenAtMs = nowMs;
    if (nowMs - series.writtenAtMs < SERIES_WRITE_MS) return;
    if (this.#inFlight >= MAX_IN_FLIGHT) return;
    series.writtenAtMs = nowMs;
    const patch = { series: { count: series.count, lastObservedTime: microTime(this.#props.clock.date()) } };
    this.#write(() => this.#props.client.mergePatch(Events, series, patch, this.#options()));
  }

  #manifest(event: ObjectEvent, series: Series): Manifest {
    const { apiVersion, kind, metadata } = event.regarding;
    return {
      apiVersion: Events.apiVersion,
      kind: Events.kind,
      metadata: { name: series.name, namespace: series.namespace },
      eventTime: microTime(this.#props.clock.date()),
      reportingController: CONTROLLER,
      reportingInstance: this.#props.instance.slice(0, 128),
      type: event.type,
      reason: event.reason,
      action: event.action,
      note: cutUtf8(event.note, MAX_NOTE_BYTES),
      regarding: { apiVersion, kind, name: metadata.name, namespace: metadata.namespace, uid: metadata.uid, resourceVersion: metadata.resourceVersion },
    };
  }

  #options(): WriteOptions {
    const { signal, fence } = this.#props;
    return { signal, fence, timeoutMs: WRITE_TIMEOUT_MS };
  }

  #takeToken(regarding: KubeObject, nowMs: number): boolean {
    const key = `${regarding.kind} ${regarding.metadata.uid ?? regarding.metadata.name}`;
    const before = this.#buckets.get(key) ?? { tokens: BURST, atMs: nowMs };
    const tokens = Math.min(BURST, before.tokens + (nowMs - before.atMs) / REFILL_MS);
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, atMs: nowMs });
    dropOldest(this.#buckets, MAX_OBJECTS);
    return tokens >= 1;
  }

  #write(send: () => Promise<unknown>): void {
    this.#inFlight++;
    send()
      .catch((error: unknown) => {
        this.#dropped++;
        this.#props.logger.debug({ err: error }, 'event was not written');
      })
      .finally(() => {
        this.#inFlight--;
      });
  }
}

function dropOldest(map: Map<string, unknown>, limit: number): void {
  const [oldest] = map.keys();
  if (map.size > limit && oldest !== undefined) map.delete(oldest);
}

/** At most `maxBytes` of UTF-8, without half a character at the end. */
export function cutUtf8(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString('utf8');
}
