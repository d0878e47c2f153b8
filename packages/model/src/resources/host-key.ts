import Type, { type Static } from 'typebox';
import { listMapBy, ObjectName } from './schema-parts.ts';

export const HOST_KEY_STATES = ['Active', 'Next', 'Retired'] as const;
export type HostKeyState = (typeof HOST_KEY_STATES)[number];

/** The name is part of a file name that servers of every version look for. */
const HOST_KEY_NAME_PATTERN = '^[a-z0-9]{1,32}$';

const EndpointHostKey = Type.Object(
  {
    name: Type.String({
      pattern: HOST_KEY_NAME_PATTERN,
      maxLength: 32,
      description:
        'Name of the key, unique within the endpoint: lower-case letters and digits. The key that an endpoint without `hostKeys` has made is `ed25519`.',
    }),
    state: Type.Enum([...HOST_KEY_STATES], {
      description:
        'Active: clients are shown it. Next: it is made and its public part shown in the status, to be handed out. Retired: clients are shown it no longer.',
    }),
    algorithm: Type.Optional(
      Type.Enum(['Ed25519', 'ECDSA', 'RSA'], {
        default: 'Ed25519',
        description: 'Kind of key to make where there is none of this name: Ed25519, ECDSA on P-256, or RSA of 3072 bits.',
      }),
    ),
    secretRef: Type.Optional(
      Type.Object(
        {
          name: ObjectName("Secret in the endpoint's namespace."),
          key: Type.String({
            minLength: 1,
            maxLength: 253,
            description: 'Key inside the Secret; its value is a private key in OpenSSH or PEM form without a passphrase.',
          }),
        },
        { additionalProperties: false, description: 'Where the private key comes from. Default: it is made, once.' },
      ),
    ),
  },
  { additionalProperties: false },
);
export type EndpointHostKey = Static<typeof EndpointHostKey>;

export const EndpointHostKeys = Type.Array(EndpointHostKey, {
  minItems: 1,
  maxItems: 8,
  ...listMapBy('name'),
  'x-kubernetes-validations': [{ rule: "self.exists(key, key.state == 'Active')", message: 'at least one host key must be Active' }],
  description:
    'Host keys, by which clients recognise the endpoint. At most one of each algorithm is Active. A key whose entry goes while it is Next or Retired is deleted. Default: one Ed25519 key, made once.',
});

/** One host key, as the status shows it. */
export interface HostKeyStatus {
  readonly name: string;
  readonly state: HostKeyState;
  /** `ssh-ed25519` and so on. */
  readonly algorithm: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
  /** `ssh-ed25519 AAAA…`: what stands in `known_hosts` after the host's name. */
  readonly publicKey: string;
}

/** Structural schema of the status. */
export const HOST_KEYS_STATUS = {
  type: 'array',
  description: 'Host keys that are there.',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
  items: {
    type: 'object',
    required: ['name', 'state', 'algorithm', 'fingerprint', 'publicKey'],
    properties: {
      name: { type: 'string', maxLength: 64, description: 'Name of the key.' },
      state: { type: 'string', enum: [...HOST_KEY_STATES], description: 'Whether clients are shown it: Active only.' },
      algorithm: { type: 'string', maxLength: 64, description: 'Such as `ssh-ed25519`.' },
      fingerprint: { type: 'string', maxLength: 128, description: 'SHA256 fingerprint, as clients show it.' },
      publicKey: { type: 'string', maxLength: 16384, description: "Public part; what stands in `known_hosts` after the host's name." },
    },
  },
} as const;
