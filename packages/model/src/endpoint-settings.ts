import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';

const AzureBlobSettings = Type.Object({
  kind: Type.Literal('azureBlob'),
  account: Type.String(),
  container: Type.String(),
  /** Empty: the container's root. */
  prefix: Type.String(),
  /** URL of the Blob service, without a slash at the end. */
  endpoint: Type.String(),
});

const LocalSettings = Type.Object({ kind: Type.Literal('local'), path: Type.String() });

const ServiceBusSettings = Type.Object({
  kind: Type.Literal('serviceBus'),
  /** Fully qualified. */
  namespace: Type.String(),
  queue: Type.String(),
  /** Connection address where it differs from the namespace. */
  endpoint: Type.Union([Type.String(), Type.Null()]),
  /** `PerPath`: the queue has sessions, and the events of one path go in order. Absent: `None`. */
  ordering: Type.Optional(Type.Enum(['None', 'PerPath'])),
});

const SecretRef = Type.Object({ name: Type.String(), key: Type.String() });

const AmqpSettings = Type.Object({
  kind: Type.Literal('amqp'),
  url: Type.String(),
  address: Type.String(),
  /** `null`: messages that are no events are rejected. */
  deadLetterAddress: Type.Union([Type.String(), Type.Null()]),
  /** `null`: anonymous. */
  username: Type.Union([Type.String(), Type.Null()]),
  /** Names of Secrets in the endpoint's namespace, never their content. */
  secrets: Type.Object({ password: Type.Optional(SecretRef), ca: Type.Optional(SecretRef) }),
});

/**
 * The settings of an SftpEndpoint with every default filled in: what its servers and routers run by. As JSON it is the content of
 * the ConfigMap that their pods mount. Keys that a newer operator has added are let through, since pods of the version before run beside it.
 */
export const EndpointSettings = Type.Object({
  namespace: Type.String(),
  name: Type.String(),
  /** TCP port. */
  port: Type.Integer({ minimum: 1, maximum: 65535 }),
  authenticationMethods: Type.Array(Type.Enum(['PublicKey', 'Password']), { minItems: 1 }),
  /** Absent: `Preserved`. */
  clientAddress: Type.Optional(Type.Enum(['Preserved', 'Rewritten'])),
  /** For users without ranges of their own, and for all where the client's address is rewritten. `null`: every address. Empty: none. */
  allowedSourceRanges: Type.Union([Type.Array(Type.String()), Type.Null()]),
  storage: Type.Union([AzureBlobSettings, LocalSettings]),
  /** `null`: events go nowhere. */
  events: Type.Union([ServiceBusSettings, AmqpSettings, Type.Null()]),
  /** Types of events that the endpoint emits; those that this program does not know are nothing to it. Absent: all that are guaranteed. */
  eventTypes: Type.Optional(Type.Array(Type.String())),
  /** Sessions per server process. */
  maxSessions: Type.Integer({ minimum: 1 }),
});
export type EndpointSettings = Static<typeof EndpointSettings>;

const validator = Compile(EndpointSettings);

/** What stands in an endpoint's ConfigMap is not what this program can run by. */
export class EndpointSettingsError extends Error {
  readonly code = 'EndpointSettingsInvalid';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EndpointSettingsError';
  }
}

/** @throws {EndpointSettingsError} that names the first wrong field. */
export function parseEndpointSettings(json: string): EndpointSettings {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new EndpointSettingsError('endpoint settings are not JSON', { cause });
  }
  if (validator.Check(value)) return value;
  const [first] = validator.Errors(value);
  throw new EndpointSettingsError(`endpoint settings: ${first?.instancePath ?? ''} ${first?.message ?? 'are not an object'}`);
}

/** Whether the events of one path go out and are delivered one after the other. */
export function keepsOrder({ events }: Pick<EndpointSettings, 'events'>): boolean {
  return events?.kind === 'serviceBus' && events.ordering === 'PerPath';
}
