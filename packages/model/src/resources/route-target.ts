import Type, { type Static } from 'typebox';
import { exactlyOneOf, listMapBy } from './schema-parts.ts';
import { HttpAuthentication, PlainLogin, Signing, Tls } from './target-parts.ts';

const HttpTarget = Type.Object(
  {
    url: Type.String({
      pattern: '^https?://[^\\s#]+$',
      maxLength: 2048,
      description:
        'Address that receives a POST for each event. Any 2xx answer is success. After the host it may hold fields of the event, such as `{data.username}`, which are percent-encoded; `{+data.path}` keeps slashes.',
    }),
    format: Type.Optional(
      Type.Enum(['Structured', 'Binary'], {
        default: 'Structured',
        description: 'CloudEvents content mode: the whole event as JSON, or its attributes as `ce-` headers.',
      }),
    ),
    body: Type.Optional(
      Type.Enum(['event', 'file'], {
        default: 'event',
        description:
          'What is sent: the event, or the uploaded file itself, whole and streamed, with `skiff-` headers that describe it. When the file was changed or removed meanwhile, the delivery is dead.',
      }),
    ),
    headers: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$', description: 'Header name.' }),
            value: Type.String({ maxLength: 1024, description: 'Header value. Not for secrets. It may hold fields of the event, as the URL may.' }),
          },
          { additionalProperties: false },
        ),
        { maxItems: 16, ...listMapBy('name'), description: 'Headers added to each request.' },
      ),
    ),
    authentication: Type.Optional(HttpAuthentication),
    signing: Type.Optional(Signing),
    tls: Type.Optional(Tls),
  },
  { additionalProperties: false, description: 'HTTP endpoint of an application.' },
);

const AmqpTarget = Type.Object(
  {
    url: Type.String({ pattern: '^amqps?://[^\\s/?#@]+$', maxLength: 512, description: 'Broker: `amqps://host:5671`, or `amqp://` without TLS.' }),
    address: Type.String({
      minLength: 1,
      maxLength: 512,
      description: "Node that receives the messages, in the broker's own words: `orders` (Artemis), `/queue/orders` (RabbitMQ).",
    }),
    authentication: Type.Optional(PlainLogin),
    tls: Type.Optional(Tls),
  },
  {
    additionalProperties: false,
    description: 'Queue or topic of an AMQP 1.0 broker. The event is the body (CloudEvents structured mode), its attributes are application properties.',
  },
);

const MqttTarget = Type.Object(
  {
    url: Type.String({ pattern: '^mqtts?://[^\\s/?#@]+$', maxLength: 512, description: 'Broker: `mqtts://host:8883`, or `mqtt://` without TLS.' }),
    topic: Type.String({
      pattern: '^[^+#]*$',
      minLength: 1,
      maxLength: 1024,
      description:
        'Topic to publish to. It may hold fields of the event, such as `files/{data.username}`; `/`, `+`, `#` and `%` in them are percent-encoded. `{+data.path}` keeps slashes.',
    }),
    authentication: Type.Optional(PlainLogin),
    tls: Type.Optional(Tls),
  },
  { additionalProperties: false, description: 'Topic of an MQTT 5 broker; QoS 1. Attributes of the event are user properties.' },
);

const ServiceBusTarget = Type.Object(
  {
    namespace: Type.String({ pattern: '^[A-Za-z0-9.-]{6,255}$', description: 'Fully qualified namespace, such as `contoso.servicebus.windows.net`.' }),
    queue: Type.Optional(Type.String({ minLength: 1, maxLength: 260, description: 'Queue that receives the events.' })),
    topic: Type.Optional(Type.String({ minLength: 1, maxLength: 260, description: 'Topic that receives the events.' })),
    endpoint: Type.Optional(
      Type.String({ pattern: '^sb://[^/?#]+/?$', description: 'Connection address where it differs from the namespace (private link, emulator).' }),
    ),
  },
  {
    additionalProperties: false,
    ...exactlyOneOf('queue', 'topic'),
    description: 'Azure Service Bus, entered by workload identity. The message id is the same at every try, so that duplicate detection works.',
  },
);

const Delivery = Type.Object(
  {
    timeoutSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 300, default: 30, description: 'Seconds that one attempt may take.' })),
    maxAttempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 10, description: 'Attempts before the delivery is dead.' })),
    minBackoffSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 3600,
        default: 1,
        description: 'Wait before the second attempt, in seconds; it doubles with each one, with jitter.',
      }),
    ),
    maxBackoffSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86400, default: 600, description: 'Longest wait between attempts, in seconds.' })),
  },
  { additionalProperties: false, description: 'How hard to try.' },
);

export const RouteTarget = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$', description: 'Name of the target, unique within the route.' }),
    http: Type.Optional(HttpTarget),
    amqp: Type.Optional(AmqpTarget),
    mqtt: Type.Optional(MqttTarget),
    serviceBus: Type.Optional(ServiceBusTarget),
    delivery: Type.Optional(Delivery),
  },
  { additionalProperties: false, ...exactlyOneOf('http', 'amqp', 'mqtt', 'serviceBus') },
);
export type RouteTarget = Static<typeof RouteTarget>;
