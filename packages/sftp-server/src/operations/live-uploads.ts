import type { OperationId } from '@skiff/model/upload-state';

/** An upload that a session of this process holds open. */
export interface DisplaceableUpload {
  readonly id: OperationId;
  /** Its row was taken over: every further request on it fails with the reason. */
  displace(reason: string): void;
}

/**
 * The uploads that are open in this process. Rows tell other processes; within one, the old handle of an upload that was taken
 * over fails at once. Bounded by the handles of the sessions.
 */
export class LiveUploads {
  readonly #open = new Map<OperationId, DisplaceableUpload>();
  readonly #ending = new Set<Promise<void>>();

  add(upload: DisplaceableUpload): void {
    this.#open.set(upload.id, upload);
  }

  remove(upload: DisplaceableUpload): void {
    // The same upload may have been opened again by the session that took it over.
    if (this.#open.get(upload.id) === upload) this.#open.delete(upload.id);
  }

  displace(id: OperationId, reason: string): void {
    this.#open.get(id)?.displace(reason);
  }

  /** Something that still has to be given up after its session has gone. Must not reject. */
  ending(giveUp: Promise<void>): void {
    this.#ending.add(giveUp);
    void giveUp.finally(() => this.#ending.delete(giveUp));
  }

  /** Waits until everything that sessions have left behind is given up, for at most so long. */
  async idle(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    await Promise.race([Promise.all(this.#ending), promise]);
    clearTimeout(timer);
  }
}
