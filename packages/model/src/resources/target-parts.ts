import Type, { type Static } from 'typebox';
import { exactlyOneOf, ObjectName } from './schema-parts.ts';

const SECRET_KEY_PATTERN = '^[-._a-zA-Z0-9]{1,253}$';

export const secretKeyRef = (description: string, namespace: string) =>
  Type.Object(
    {
      name: ObjectName(`Name of the Secret, in ${namespace}.`),
      key: Type.String({ pattern: SECRET_KEY_PATTERN, description: 'Key in the Secret.' }),
    },
    { additionalProperties: false, description },
  );
export type SecretKeyRef = Static<ReturnType<typeof secretKeyRef>>;

const SecretKeyRef = (description: string) => secretKeyRef(description, "the route's namespace");

export const Tls = Type.Object(
  {
    caSecretRef: Type.Optional(SecretKeyRef("Certificates (PEM) to trust in place of the system's.")),
    clientCertificateSecretRef: Type.Optional(
      Type.Object(
        { name: ObjectName("Name of the Secret, in the route's namespace.") },
        { additionalProperties: false, description: 'Secret of type `kubernetes.io/tls`; its `tls.crt` and `tls.key` are shown to the server (mutual TLS).' },
      ),
    ),
  },
  { additionalProperties: false, description: 'How the server and the router prove who they are.' },
);

export const PlainLogin = Type.Object(
  {
    username: Type.String({ minLength: 1, maxLength: 256, description: 'User name.' }),
    passwordSecretRef: SecretKeyRef('Where the password is.'),
  },
  { additionalProperties: false, description: 'User name and password. Default: none, anonymous.' },
);

export const HttpAuthentication = Type.Object(
  {
    bearer: Type.Optional(
      Type.Object({ tokenSecretRef: SecretKeyRef('Where the token is.') }, { additionalProperties: false, description: 'A fixed bearer token.' }),
    ),
    basic: Type.Optional(
      Type.Object(
        {
          username: Type.String({ minLength: 1, maxLength: 256, pattern: '^[^:]*$', description: 'User name, without a colon.' }),
          passwordSecretRef: SecretKeyRef('Where the password is.'),
        },
        { additionalProperties: false, description: 'HTTP Basic.' },
      ),
    ),
    oauth2: Type.Optional(
      Type.Object(
        {
          tokenUrl: Type.String({ pattern: '^https?://[^\\s#@]+$', maxLength: 2048, description: "Address of the authorization server's token endpoint." }),
          clientId: Type.String({ minLength: 1, maxLength: 512, description: 'Client id.' }),
          clientSecretSecretRef: SecretKeyRef('Where the client secret is.'),
          scope: Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: 'Scopes to ask for, separated by spaces. Default: none.' })),
        },
        { additionalProperties: false, description: 'OAuth 2.0 client credentials; the client logs in at the token endpoint by HTTP Basic (RFC 6749 §2.3.1).' },
      ),
    ),
    workloadIdentity: Type.Optional(
      Type.Object(
        { scope: Type.String({ minLength: 1, maxLength: 1024, description: 'Scope to ask for, such as `api://<application id>/.default`.' }) },
        { additionalProperties: false, description: "An Entra ID token of the router's own identity: no secret at all." },
      ),
    ),
  },
  {
    additionalProperties: false,
    ...exactlyOneOf('bearer', 'basic', 'oauth2', 'workloadIdentity'),
    description: 'How the router proves who it is: exactly one kind. Default: not at all.',
  },
);

export const Signing = Type.Object(
  {
    secretRef: SecretKeyRef('Where the key is: `whsec_` and base64, or base64 alone, of 24 to 64 bytes.'),
    previousSecretRef: Type.Optional(SecretKeyRef('A second key to sign by as well, while receivers change from one to the other.')),
  },
  {
    additionalProperties: false,
    description: 'Signs each request by Standard Webhooks (HMAC-SHA256, header `webhook-signature`). Not with `body: file`.',
  },
);
