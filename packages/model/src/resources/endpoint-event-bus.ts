import Type, { type Static } from 'typebox';
import { secretKeyRef } from './target-parts.ts';

/** A Secret beside the endpoint. */
const EndpointSecretKeyRef = (description: string) => secretKeyRef(description, "the endpoint's namespace");

const Address = (description: string) => Type.String({ minLength: 1, maxLength: 512, description });

/** An AMQP 1.0 broker as the queue of an endpoint. */
export const AmqpEvents = Type.Object(
  {
    url: Type.String({ pattern: '^amqps?://[^\\s/?#@]+$', maxLength: 512, description: 'Broker: `amqps://host:5671`, or `amqp://` without TLS.' }),
    address: Address(
      "Queue that receives the events, in the broker's own words: `files` (Artemis), `/queues/files` (RabbitMQ 4), `/queue/files` (RabbitMQ 3). It must exist or be made on demand, be durable, and give each message to one consumer.",
    ),
    deadLetterAddress: Type.Optional(
      Address(
        "Queue that receives messages which are no events, with the reason as the properties `DeadLetterReason` and `DeadLetterErrorDescription`. Default: they are rejected, and the broker's configuration decides; many brokers drop them.",
      ),
    ),
    authentication: Type.Optional(
      Type.Object(
        {
          username: Type.String({ minLength: 1, maxLength: 256, description: 'User name.' }),
          passwordSecretRef: EndpointSecretKeyRef('Where the password is. It is mounted into the pods, and read again at each connection.'),
        },
        { additionalProperties: false, description: 'User name and password (SASL PLAIN). Default: none, anonymous.' },
      ),
    ),
    tls: Type.Optional(
      Type.Object(
        { caSecretRef: EndpointSecretKeyRef("Certificates (PEM) to trust in place of the system's.") },
        { additionalProperties: false, description: 'How the broker proves who it is. Only with `amqps://`.' },
      ),
    ),
  },
  {
    additionalProperties: false,
    'x-kubernetes-validations': [{ rule: "!has(self.tls) || self.url.startsWith('amqps://')", message: 'tls goes with amqps:// only' }],
    description: 'AMQP 1.0 broker: ActiveMQ Artemis, RabbitMQ. Events may come twice where the broker detects no duplicates: consumers tell them by their id.',
  },
);
export type AmqpEvents = Static<typeof AmqpEvents>;
