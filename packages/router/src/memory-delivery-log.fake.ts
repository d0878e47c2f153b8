import type { ClaimedDelivery, DeliveryClaim, DeliveryKey, DeliveryLog, DeliveryOrder, DeliveryResult, PendingDelivery } from '@skiff/database/delivery-log';
import { StoreError } from '@skiff/model/store-error';

export interface FakeRow {
  readonly body: Buffer | undefined;
  readonly contentType: string;
  readonly state: DeliveryResult['state'];
  readonly attempt: number;
  readonly dueAt: number;
  readonly said: string;
}

/** The delivery log in memory, with a switch that takes the database away. */
export interface MemoryDeliveryLog extends DeliveryLog {
  readonly rows: ReadonlyMap<string, FakeRow>;
  readonly calls: { park: number; record: number; claim: number };
  outage(on: boolean): void;
  row(key: Omit<DeliveryKey, 'endpointId'>): FakeRow | undefined;
}

export function createMemoryDeliveryLog(): MemoryDeliveryLog {
  const rows = new Map<string, FakeRow & { key: DeliveryKey; order: DeliveryOrder | undefined }>();
  const calls = { park: 0, record: 0, claim: 0 };
  let down = false;
  const idOf = ({ eventId, route, target }: Omit<DeliveryKey, 'endpointId'>): string => `${eventId} ${route} ${target}`;
  const check = (): void => {
    if (down) throw new StoreError({ code: 'unavailable', message: 'the database is down' });
  };
  const isHeld = ({ key, order }: { readonly key: DeliveryKey; readonly order: DeliveryOrder | undefined }): boolean =>
    order !== undefined &&
    [...rows.values()].some(
      (other) =>
        other.state === 'waiting' &&
        other.order !== undefined &&
        other.key.route === key.route &&
        other.key.target === key.target &&
        isBefore(other.order, order),
    );
  return {
    rows,
    calls,
    outage(on) {
      down = on;
    },
    row: (key) => rows.get(idOf(key)),
    async park(deliveries: readonly PendingDelivery[]) {
      check();
      calls.park += 1;
      for (const { body, contentType, attempt, dueInMs, reason, order, ...key } of deliveries) {
        if (rows.has(idOf(key))) continue;
        rows.set(idOf(key), { key, order, body, contentType, attempt, state: 'waiting', dueAt: performance.now() + dueInMs, said: reason });
      }
    },
    async claimDue({ limit, leaseMs, among, inOrder = false }) {
      check();
      calls.claim += 1;
      const due = [...rows.values()]
        .filter((row) => row.state === 'waiting' && row.dueAt <= performance.now() && isAmong(among, row.key) && (!inOrder || !isHeld(row)))
        .sort((a, b) => a.dueAt - b.dueAt);
      const claimed: ClaimedDelivery[] = [];
      for (const row of due.slice(0, limit)) {
        if (row.body === undefined) continue;
        rows.set(idOf(row.key), { ...row, dueAt: performance.now() + leaseMs });
        claimed.push({ ...row.key, attempt: row.attempt, body: row.body, contentType: row.contentType });
      }
      return claimed;
    },
    async record(results) {
      check();
      calls.record += 1;
      for (const result of results) {
        const { endpointId, eventId, route, target, attempt, state } = result;
        const key = { endpointId, eventId, route, target };
        const before = rows.get(idOf(key));
        rows.set(idOf(key), {
          key,
          order: before?.order,
          body: before?.body,
          contentType: before?.contentType ?? '',
          state,
          attempt,
          dueAt: result.state === 'waiting' ? performance.now() + result.dueInMs : 0,
          said: result.state === 'succeeded' ? result.detail : result.reason,
        });
      }
    },
    async settled(_endpointId, eventId) {
      check();
      return new Set([...rows.values()].filter(({ key }) => key.eventId === eventId).map(({ key }) => `${key.route} ${key.target}`));
    },
    async heldBack(_endpointId, order) {
      check();
      const earlier = [...rows.values()].filter(({ state, order: of }) => state === 'waiting' && of !== undefined && isBefore(of, order));
      return new Set(earlier.map(({ key }) => `${key.route} ${key.target}`));
    },
    async status() {
      check();
      const states = [...rows.values()].map(({ state }) => state);
      return { waiting: states.filter((state) => state === 'waiting').length, dead: states.filter((state) => state === 'dead').length };
    },
    async prune() {
      check();
      return 0;
    },
  };
}

function isBefore(one: DeliveryOrder, other: DeliveryOrder): boolean {
  return one.key.equals(other.key) && one.sequence < other.sequence;
}

function isAmong(among: DeliveryClaim['among'], key: DeliveryKey): boolean {
  const isOf = ({ route, target }: Pick<DeliveryKey, 'route' | 'target'>): boolean => route === key.route && target === key.target;
  if (among === undefined) return true;
  return 'only' in among ? isOf(among.only) : !among.except.some(isOf);
}
