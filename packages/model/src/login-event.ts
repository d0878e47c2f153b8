import Type, { type Static } from 'typebox';

/** Longest name that an event tells of, in characters. Users' names are shorter; what is tried may be anything. */
export const MAX_TOLD_USERNAME = 64;

/** Who tried to log in, from where, and why it failed if it did. Never what they tried it with. */
export const LoginEventData = Type.Object({
  endpoint: Type.Object({ namespace: Type.String(), name: Type.String() }),
  username: Type.String({
    maxLength: MAX_TOLD_USERNAME,
    description: `The name as the client gave it, whether or not there is such a user: at most ${MAX_TOLD_USERNAME} characters, what is not printable as U+FFFD.`,
  }),
  clientAddress: Type.String({ description: "The client's IP address as the server saw it." }),
  method: Type.Enum(['PublicKey', 'Password']),
  credential: Type.Optional(Type.String({ description: 'Successes only: the name of the key in the user, or `password`.' })),
  keyFingerprint: Type.Optional(Type.String({ description: 'Public keys only: `SHA256:` and base64, as `ssh-keygen -l` shows it.' })),
  reason: Type.Optional(
    Type.String({
      pattern: '^[A-Z][A-Za-z]{1,63}$',
      description:
        'Failures only, one of a few constants: `UnknownUser`, `Suspended`, `Expired`, `AddressNotAllowed`, `MethodNotOffered`, `KeyUnknown`, `KeyExpired`, `SignatureWrong`, `PasswordMissing`, `PasswordWrong`, `TooManySessions`, `InvalidSourceRange`, `DatabaseUnavailable`. More may come. The client is never told.',
    }),
  ),
});
export type LoginEventData = Static<typeof LoginEventData>;

/** A login in CloudEvents' structured JSON form. Best effort, and without a sequence. */
export const LoginEvent = Type.Object({
  specversion: Type.Literal('1.0'),
  id: Type.String({ description: 'Stable over every redelivery: the key to recognise duplicates by.' }),
  source: Type.String({ description: '`/skiff/<namespace>/<endpoint>`' }),
  type: Type.Enum(['dev.skiff.login.succeeded', 'dev.skiff.login.failed']),
  subject: Type.Optional(Type.String({ minLength: 1, description: 'The username. Absent when the client gave none.' })),
  time: Type.String({ description: 'When the login was decided, RFC 3339.' }),
  datacontenttype: Type.Literal('application/json'),
  data: LoginEventData,
});
export type LoginEvent = Static<typeof LoginEvent>;
