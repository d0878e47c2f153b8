import type { UserRow } from '@skiff/model/resource-rows';
import { endpointKeyOf, endpointNotFound } from '@skiff/policy/endpoint-ref';
import { translateUsers, type UserTranslationInput } from '@skiff/policy/translate-users';
import type { Clock } from '@skiff/runtime/clock';
import { namespaceLabelsOf, type ResourceSource, refOf } from '../resource-source.ts';
import type { RowRepository } from './reconcile-context.ts';
import type { RowStage } from './row-stage.ts';
import { lookUpSecrets } from './secret-lookups.ts';

type PasswordHashes = UserTranslationInput['passwords'];

/** What is known of credentials elsewhere. */
export interface CredentialReaders {
  readonly readPublicKey: UserTranslationInput['readPublicKey'];
  /** What is wrong with a password's hash, without its text; undefined: nothing. */
  readonly passwordHashProblem: PasswordHashes['problemOf'];
}

export interface UserStageOptions {
  readonly source: Pick<ResourceSource, 'users' | 'secretValue' | 'namespaceLabels'>;
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
      const lookUp = await lookUpSecrets(
        source,
        users.flatMap(({ metadata, spec }) => (spec.password === undefined ? [] : [{ namespace: metadata.namespace, ...spec.password.hashSecretRef }])),
      );
      const passwords: PasswordHashes = { lookUp, problemOf: credentials.passwordHashProblem };
      const translated = translateUsers({ endpoint, users, passwords, readPublicKey, now: clock.now(), namespaceLabels: namespaceLabelsOf(source) });
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
