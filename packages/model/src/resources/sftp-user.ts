import Type, { type Static } from 'typebox';
import { PERMISSIONS } from '../permission.ts';
import type { ResourceStatus } from './condition.ts';
import type { Resource } from './object-meta.ts';
import { Cidr, immutable, LIST_SET, listMapBy, ObjectName, Timestamp } from './schema-parts.ts';

/** Usernames reach blob names, logs and events: a letter, digit or underscore first, then also `.`, `@`, `+`, `-`. */
export const USERNAME_PATTERN = '^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,62}[A-Za-z0-9_@+-]$|^[A-Za-z0-9_]$';

const AuthorizedKey = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 63, description: 'Name of the key, unique within the user.' }),
    publicKey: Type.String({
      minLength: 1,
      maxLength: 16384,
      description: 'One line in the form of an OpenSSH `.pub` file. Ed25519, ECDSA and RSA of 2048 bits and more.',
    }),
    expiresAt: Type.Optional(Timestamp('The key is refused from this time on.')),
  },
  { additionalProperties: false },
);

const PermissionRule = Type.Object(
  {
    path: Type.String({ pattern: '^/', maxLength: 1024, description: 'Directory, as the user sees it; the rule holds for it and everything below.' }),
    allow: Type.Array(Type.Enum([...PERMISSIONS]), { ...LIST_SET, maxItems: PERMISSIONS.length, description: 'What is allowed there. Empty: nothing.' }),
  },
  { additionalProperties: false },
);

export const SftpUserSpec = Type.Object(
  {
    endpointRef: Type.Object(
      { name: ObjectName('Name of the SftpEndpoint.'), namespace: Type.Optional(ObjectName("Namespace of the SftpEndpoint. Default: the user's own.")) },
      { additionalProperties: false, ...immutable('endpointRef'), description: 'Endpoint that the user logs in to. Immutable.' },
    ),
    username: Type.String({
      pattern: USERNAME_PATTERN,
      maxLength: 64,
      ...immutable('username'),
      description: 'Login name, unique within the endpoint. Immutable.',
    }),
    suspend: Type.Optional(Type.Boolean({ default: false, description: 'Refuses logins and ends live sessions.' })),
    expiresAt: Type.Optional(Timestamp('The user is refused from this time on; live sessions end.')),
    authorizedKeys: Type.Optional(Type.Array(AuthorizedKey, { maxItems: 64, ...listMapBy('name'), description: 'SSH public keys that may log in.' })),
    password: Type.Optional(
      Type.Object(
        {
          hashSecretRef: Type.Object(
            {
              name: ObjectName("Secret in the user's namespace."),
              key: Type.String({ minLength: 1, maxLength: 253, description: 'Key inside the Secret; its value is an argon2id hash in PHC form.' }),
            },
            { additionalProperties: false, description: 'Where the hash of the password is. One Secret may hold the hashes of many users.' },
          ),
        },
        { additionalProperties: false, description: 'Password login.' },
      ),
    ),
    allowedSourceRanges: Type.Optional(
      Type.Array(Cidr, {
        maxItems: 256,
        ...LIST_SET,
        description:
          "CIDR ranges the user may log in from. Default: the endpoint's. Empty: none. Behind a firewall that rewrites addresses it is the firewall's to enforce (`service.clientAddress` of the endpoint).",
      }),
    ),
    home: Type.Optional(
      Type.String({
        maxLength: 512,
        description: "Directory of the storage that the user sees as `/` and cannot leave, below the endpoint's prefix. Default: the username.",
      }),
    ),
    permissions: Type.Optional(
      Type.Array(PermissionRule, {
        minItems: 1,
        maxItems: 64,
        ...listMapBy('path'),
        description: 'Rights per directory; the deepest matching rule holds. Default: everything.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type SftpUserSpec = Static<typeof SftpUserSpec>;
export type SftpUser = Resource<'SftpUser', SftpUserSpec, ResourceStatus>;
