import type { UserRow } from '@skiff/model/resource-rows';
import type { Credential } from '@skiff/policy/login-decision';

/** Who a session belongs to and what it came in by. Kept for its whole life: a change of the user is judged against it again. */
export interface Identity {
  readonly username: string;
  readonly credential: Credential;
  /** The key's name, or `password`. */
  readonly credentialName: string;
  /** When the user or the key expires. */
  readonly validUntil: Date | null;
  /** The user's row at the time of the login. */
  readonly user: UserRow;
}
