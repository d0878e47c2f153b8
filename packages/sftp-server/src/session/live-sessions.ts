import type { Connection } from '@skiff/sftp-protocol/ssh-listener';
import type { Identity } from '../authentication/identity.ts';

export interface LiveSession {
  readonly identity: Identity;
  readonly connection: Connection;
}

/** Who is logged in at this process: bounded by the endpoint's limit, judged again whenever a user changes. */
export class LiveSessions {
  readonly #sessions = new Map<string, LiveSession>();

  get count(): number {
    return this.#sessions.size;
  }

  add(session: LiveSession): void {
    this.#sessions.set(session.connection.id, session);
  }

  remove(connectionId: string): void {
    this.#sessions.delete(connectionId);
  }

  all(): readonly LiveSession[] {
    return [...this.#sessions.values()];
  }

  /** Ends the sessions for which the judgement names a reason; the reason is told to the client. */
  endWhere(judge: (session: LiveSession) => string | undefined): number {
    let ended = 0;
    for (const session of this.all()) {
      const reason = judge(session);
      if (reason === undefined) continue;
      ended++;
      session.connection.disconnect(reason);
    }
    return ended;
  }
}
