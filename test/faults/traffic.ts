import { setTimeout as sleep } from 'node:timers/promises';
import type { Login } from '../support/openssh-client.ts';
import type { Random } from '../support/random.ts';
import { SftpStatusError, SftpTestClient } from '../support/sftp-test-client.ts';
import { contentOf } from './content.ts';
import type { Attempt } from './history.ts';

export interface UploadPlan {
  readonly path: string;
  readonly sizeBytes: number;
  readonly login: Login;
  /** Home of the user, as a blob name. */
  readonly home: string;
}

/** What clients do, recorded as they see it. */
export class Traffic {
  readonly attempts: Attempt[] = [];
  readonly #random: Random;
  readonly #startedAt = performance.now();

  constructor(random: Random) {
    this.#random = random;
  }

  now(): number {
    return performance.now() - this.#startedAt;
  }

  get acknowledged(): number {
    return this.attempts.filter((attempt) => attempt.outcome === 'acknowledged').length;
  }

  /** One upload over a connection that is there, recorded whatever becomes of it. Never rejects. */
  async upload(client: SftpTestClient, plan: UploadPlan): Promise<Attempt> {
    const id = this.#random.hex(16);
    const startedMs = this.now();
    const { outcome, reason } = await client.put(plan.path, contentOf(id, plan.sizeBytes)).then(
      () => ({ outcome: 'acknowledged', reason: '' }) as const,
      (error: unknown) =>
        error instanceof SftpStatusError ? ({ outcome: 'refused', reason: error.message } as const) : ({ outcome: 'unknown', reason: String(error) } as const),
    );
    const { path, sizeBytes, login, home } = plan;
    const attempt = { id, username: login.username, path, blob: home + path, sizeBytes, startedMs, endedMs: this.now(), outcome, reason };
    this.attempts.push(attempt);
    return attempt;
  }

  /** One upload over a connection of its own. `undefined`: no connection could be had. */
  async uploadOnce(plan: UploadPlan): Promise<Attempt | undefined> {
    const client = await SftpTestClient.connect(plan.login).catch(() => undefined);
    if (client === undefined) return undefined;
    try {
      return await this.upload(client, plan);
    } finally {
      client.end();
    }
  }

  /** Sends a file again and again until it is acknowledged. @throws {Error} when that takes longer than `timeoutMs`. */
  async uploadUntilAcknowledged(plan: () => UploadPlan, timeoutMs: number): Promise<void> {
    for (const end = this.now() + timeoutMs; ; ) {
      const attempt = await this.uploadOnce(plan());
      if (attempt?.outcome === 'acknowledged') return;
      if (this.now() > end) throw new Error(`${plan().path} was not acknowledged within ${timeoutMs} ms: ${attempt?.reason ?? 'no connection'}`);
      await sleep(500);
    }
  }
}
