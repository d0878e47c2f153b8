import type { UserRow } from '@skiff/model/resource-rows';
import type { SftpUser } from '@skiff/model/sftp-user';
import { endpointKeyOf, endpointNotFound } from '@skiff/policy/endpoint-ref';
import { translateUsers, type UserTranslationInput } from '@skiff/policy/translate-users';
import type { Clock } from '@skiff/runtime/clock';
import { type ResourceSource, refKey, refOf, type SecretLookup } from '../resource-source.ts';
import type { RowRepository } from './reconcile-context.ts';
import type { RowStage } from './row-stage.ts';

type PasswordHashes = UserTranslationInput['passwords'];

/** What is known of credentials elsewhere. */
export interface CredentialReaders {
  readonly readPublicKey: UserTranslationInput['readPublicKey'];
  /** What is wrong with a password's hash, without its text; undefined: nothing. */
  readonly passwordHashProblem: PasswordHashes['problemOf'];
}

export interface UserStageOptions {
  readonly source: Pick<ResourceSource, 'users' | 'secretValue'>;
  readonly repository: Pick<RowRepository, 'users' | 'applyUsers'>;
  readonly credentials: CredentialReaders;
  readonly clock: Clock;
}

/** SftpUsers become the rows that the servers look logins up in. */
export function userStage({ source, repository, credentials, clock }: UserStageOptions): RowStage<UserRow> {
  const readPublicKey = remembering(credentials.readPublicKey);
  return {
    kind: 'SftpUser',
    keyOf: (row) => row.username,
    async translate(endpointKey, endpoint) {
      const users = source.users().filter((user) => endpointKeyOf(user) === endpointKey);
      if (endpoint === undefined) {
        return { items: users.map((user) => ({ ref: refOf(user), row: undefined, verdict: endpointNotFound(user) })), revisitAt: null };
      }
      const lookUp = await lookUpSecrets(source, users);
      const passwords: PasswordHashes = { lookUp, problemOf: credentials.passwordHashProblem };
      const translated = translateUsers({ endpoint, users, passwords, readPublicKey, now: clock.now() });
      return { items: translated.users.map(({ user, row, verdict }) => ({ ref: refOf(user), row, verdict })), revisitAt: translated.revisitAt };
    },
    load: (endpointId) => repository.users(endpointId),
    apply: (endpointId, steps) => repository.applyUsers(endpointId, steps),
  };
}

/** Of 4,000 users one changes: the keys of the others need not be checked again. Emptied when full, some 10 MiB. */
const REMEMBERED_KEYS = 20_000;

function remembering(read: CredentialReaders['readPublicKey']): CredentialReaders['readPublicKey'] {
  const known = new Map<string, ReturnType<typeof read>>();
  return (line) => {
    const remembered = known.get(line);
    if (remembered !== undefined) return remembered;
    const result = read(line);
    if (known.size >= REMEMBERED_KEYS) known.clear();
    known.set(line, result);
    return result;
  };
}

/** Secrets read at a time: from a cluster each is a request. */
const SECRET_BATCH = 16;

async function lookUpSecrets(source: Pick<ResourceSource, 'secretValue'>, users: readonly SftpUser[]): Promise<PasswordHashes['lookUp']> {
  const wanted = new Map<string, { readonly namespace: string; readonly name: string; readonly key: string }>();
  for (const { metadata, spec } of users) {
    const ref = spec.password?.hashSecretRef;
    if (ref !== undefined) wanted.set(lookupKey(metadata.namespace, ref.name, ref.key), { namespace: metadata.namespace, ...ref });
  }
  const found = new Map<string, SecretLookup>();
  const entries = [...wanted];
  for (let start = 0; start < entries.length; start += SECRET_BATCH) {
    const batch = entries.slice(start, start + SECRET_BATCH);
    await Promise.all(batch.map(async ([id, { namespace, name, key }]) => found.set(id, await source.secretValue(namespace, name, key))));
  }
  return (namespace, name, key) => found.get(lookupKey(namespace, name, key)) ?? { kind: 'secretNotFound' };
}

/** Keys of Secrets may hold dots but no slash. */
function lookupKey(namespace: string, name: string, key: string): string {
  return `${refKey({ kind: 'Secret', namespace, name })}/${key}`;
}
