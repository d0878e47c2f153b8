import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '@skiff/runtime/logger';
import type { KubeClient, Manifest } from './kube-client.ts';
import { KubeError } from './kube-error.ts';
import type { KubeObject } from './kube-object.ts';
import { type Leadership, NOBODY_LEADS_MS, runElection } from './leader-election.ts';
import { FakeClock, settle } from './testing/fake-clock.ts';

const LEASE = { namespace: 'skiff', name: 'operator' };

/** The API server's part: one lease with optimistic locking; `down` cuts a candidate off. */
class LeaseServer {
  lease: KubeObject | undefined;
  readonly down = new Set<string>();
  /** How long the next request of a candidate takes, ms; one whose time is up before is not answered. */
  latencyMs: (identity: string) => number = () => 0;
  writes = 0;
  readonly #clock: FakeClock;
  #version = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  clientOf(identity: string): Pick<KubeClient, 'get' | 'create' | 'replace'> {
    return {
      get: async (_, _ref, { timeoutMs = 0 }) => {
        await this.#reach(identity, timeoutMs);
        if (this.lease === undefined) throw new KubeError({ code: 'notFound', httpStatus: 404, message: 'no lease' });
        return this.lease;
      },
      create: async (_, manifest, { timeoutMs = 0 }) => {
        await this.#reach(identity, timeoutMs);
        if (this.lease !== undefined) throw new KubeError({ code: 'alreadyExists', httpStatus: 409, message: 'exists' });
        return this.#store(manifest);
      },
      replace: async (_, manifest, { timeoutMs = 0 }) => {
        await this.#reach(identity, timeoutMs);
        if (manifest.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
          throw new KubeError({ code: 'conflict', httpStatus: 409, message: 'conflict' });
        return this.#store(manifest);
      },
    };
  }

  async #reach(identity: string, timeoutMs: number): Promise<void> {
    if (this.down.has(identity)) throw new KubeError({ code: 'unavailable', httpStatus: 0, message: 'cut off' });
    const waitMs = this.latencyMs(identity);
    if (waitMs <= 0) return;
    await new Promise<void>((resolve) => this.#clock.schedule(Math.min(waitMs, timeoutMs), resolve));
    if (waitMs > timeoutMs) throw new KubeError({ code: 'unavailable', httpStatus: 0, message: 'no answer in time' });
  }

  #store(manifest: Manifest): KubeObject {
    this.writes++;
    this.lease = { ...manifest, metadata: { ...manifest.metadata, name: LEASE.name, resourceVersion: String(++this.#version) } };
    return this.lease;
  }
}

class Party {
  readonly stop = new AbortController();
  leadership: Leadership | undefined;
  readonly ended: Promise<void>;
  terms = 0;
  /** How long the work needs to end after its signal, ms. */
  windDownMs = 0;

  constructor(server: LeaseServer, clock: FakeClock, identity: string) {
    const lead = async (leadership: Leadership) => {
      this.leadership = leadership;
      this.terms++;
      await new Promise<void>((resolve) => leadership.signal.addEventListener('abort', () => resolve(), { once: true }));
      if (this.windDownMs > 0) await new Promise<void>((resolve) => clock.schedule(this.windDownMs, resolve));
    };
    const props = { client: server.clientOf(identity), lease: LEASE, identity, clock, random: () => 0.5, logger: silentLogger };
    this.ended = runElection(props, lead, this.stop.signal);
  }

  get mayWrite(): boolean {
    try {
      this.leadership?.assertHeld();
      return this.leadership !== undefined;
    } catch {
      return false;
    }
  }
}

function fresh() {
  const clock = new FakeClock();
  return { clock, server: new LeaseServer(clock) };
}

describe('leader election', () => {
  it('gives the lease to one of two, and renews it', async () => {
    const { server, clock } = fresh();
    const parties = [new Party(server, clock, 'a'), new Party(server, clock, 'b')];
    await clock.advance(60_000);
    assert.deepEqual(
      parties.map((party) => party.mayWrite),
      [true, false],
    );
    assert.ok(server.writes >= 55 && server.writes <= 61, `${server.writes} writes in 60 s`);
  });

  it('passes a released lease on within one retry', async () => {
    const { server, clock } = fresh();
    const [a, b] = [new Party(server, clock, 'a'), new Party(server, clock, 'b')];
    await clock.advance(10_000);
    a.stop.abort();
    await clock.advance(2_500);
    await a.ended;
    assert.equal(a.mayWrite, false);
    assert.equal(b.mayWrite, true);
    assert.equal(b.leadership?.epoch, 1);
  });

  it('holds the lease while the work of a leader that shuts down still ends', async () => {
    const { server, clock } = fresh();
    const [a, b] = [new Party(server, clock, 'a'), new Party(server, clock, 'b')];
    a.windDownMs = 40_000;
    await clock.advance(5_000);
    a.stop.abort();
    await clock.advance(39_000);
    assert.equal(b.terms, 0);
    await clock.advance(4_000);
    assert.equal(b.mayWrite, true);
  });

  it('replaces a leader that vanished within 12.3 s, and never lets two write', async () => {
    const { server, clock } = fresh();
    const [a, b] = [new Party(server, clock, 'a'), new Party(server, clock, 'b')];
    // Cut off at every phase of the renewal period.
    let [leader, other] = [a, b];
    for (let round = 0; round < 20; round++) {
      await clock.advance(20_000 + round * 113);
      assert.equal(leader.mayWrite, true);
      const name = leader === a ? 'a' : 'b';
      server.down.add(name);
      let takenAfterMs = 0;
      while (!other.mayWrite) {
        await clock.advance(100);
        takenAfterMs += 100;
        assert.ok(!(a.mayWrite && b.mayWrite), 'two leaders');
        assert.ok(takenAfterMs <= 12_300, 'no takeover within 12.3 s');
      }
      assert.equal(leader.mayWrite, false);
      server.down.delete(name);
      [leader, other] = [other, leader];
    }
    assert.equal(leader.leadership?.epoch, 20);
  });

  it('stops writing at the renew deadline when the API server is gone, and leads again when it is back', async () => {
    const { server, clock } = fresh();
    const a = new Party(server, clock, 'a');
    await clock.advance(4_000);
    server.down.add('a');
    await clock.advance(6_900);
    assert.equal(a.mayWrite, true);
    await clock.advance(200);
    assert.equal(a.leadership?.signal.aborted, true);
    server.down.delete('a');
    await clock.advance(5_000);
    assert.equal(a.mayWrite, true);
    assert.equal(a.terms, 2);
  });

  it('keeps the lease while the API server answers nothing for 6 s, whenever that begins', async () => {
    for (let phaseMs = 0; phaseMs < 1_000; phaseMs += 50) {
      const { server, clock } = fresh();
      const [a, b] = [new Party(server, clock, 'a'), new Party(server, clock, 'b')];
      await clock.advance(10_000 + phaseMs);
      const untilMs = clock.nowMs() + 6_000;
      server.latencyMs = () => untilMs - clock.nowMs();
      for (let passedMs = 0; passedMs < 20_000; passedMs += 100) {
        await clock.advance(100);
        assert.equal(a.mayWrite, true, `phase ${phaseMs} ms, after ${passedMs} ms`);
      }
      assert.deepEqual([a.terms, b.terms], [1, 0]);
    }
  });

  it('keeps the lease when a connection has silently died and the next one takes 2.9 s to be made', async () => {
    const { server, clock } = fresh();
    const a = new Party(server, clock, 'a');
    await clock.advance(10_000);
    const latencies = [Number.POSITIVE_INFINITY, 2_900];
    server.latencyMs = () => latencies.shift() ?? 0;
    for (let passedMs = 0; passedMs < 10_000; passedMs += 100) {
      await clock.advance(100);
      assert.equal(a.mayWrite, true, `after ${passedMs} ms`);
    }
    assert.deepEqual([a.terms, latencies.length], [1, 0]);
  });

  it('leaves at least 4 s between the last moment of one leader and the first of the next', async () => {
    assert.equal(NOBODY_LEADS_MS, 4_000);
    for (let phaseMs = 0; phaseMs < 1_200; phaseMs += 100) {
      const { server, clock } = fresh();
      const [a, b] = [new Party(server, clock, 'a'), new Party(server, clock, 'b')];
      await clock.advance(10_000 + phaseMs);
      server.down.add('a');
      let nobodyMs = 0;
      while (!b.mayWrite) {
        await clock.advance(10);
        if (!a.mayWrite && !b.mayWrite) nobodyMs += 10;
      }
      assert.ok(nobodyMs >= NOBODY_LEADS_MS - 10, `${nobodyMs} ms`);
    }
  });

  it('refuses a write after a suspension, before any timer had a chance to run', async () => {
    const { server, clock } = fresh();
    const a = new Party(server, clock, 'a');
    await clock.advance(3_000);
    const { leadership } = a;
    assert.equal(leadership?.signal.aborted, false);
    clock.suspend(60_000);
    assert.throws(
      () => leadership?.assertHeld(),
      (error) => error instanceof KubeError && error.code === 'aborted',
    );
    assert.equal(leadership?.signal.aborted, true);
  });

  it('survives a foreign write to its lease, and obeys a foreign holder', async () => {
    const { server, clock } = fresh();
    const a = new Party(server, clock, 'a');
    await clock.advance(5_000);
    const { lease } = server;
    assert.ok(lease !== undefined);
    server.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: 'labelled' } };
    await clock.advance(20_000);
    assert.equal(a.terms, 1);
    assert.equal(a.mayWrite, true);
    const spec = { ...Object(server.lease.spec), holderIdentity: 'stranger' };
    server.lease = { ...server.lease, spec, metadata: { ...lease.metadata, resourceVersion: 'stolen' } };
    await clock.advance(2_500);
    assert.equal(a.mayWrite, false);
  });

  it('gives the lease back and passes the error on when the work fails', async () => {
    const { server, clock } = fresh();
    const props = { client: server.clientOf('a'), lease: LEASE, identity: 'a', clock, random: () => 0, logger: silentLogger };
    const run = runElection(props, () => Promise.reject(new RangeError('scripted')), new AbortController().signal);
    await assert.rejects(run, RangeError);
    await settle();
    assert.equal(Object(server.lease?.spec).holderIdentity, '');
    assert.equal(clock.pending, 0);
  });
});
