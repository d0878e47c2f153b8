import Type, { type Static } from 'typebox';
import { EVENT_TYPES } from '../event-types.ts';
import type { ResourceStatus } from './condition.ts';
import { AllowedUsers, Autoscaling, Drain, EndpointIdentity, EndpointService, Replicas, VolumeClaim } from './endpoint-deployment.ts';
import { AmqpEvents } from './endpoint-event-bus.ts';
import { EndpointHostKeys } from './host-key.ts';
import type { Resource } from './object-meta.ts';
import { Cidr, exactlyOneOf, LIST_SET } from './schema-parts.ts';

const AzureBlobStorage = Type.Object(
  {
    account: Type.String({ pattern: '^[a-z0-9]{3,24}$', description: 'Name of the storage account.' }),
    container: Type.String({ pattern: '^[a-z0-9](-?[a-z0-9]){2,62}$', description: 'Name of the container. It must exist.' }),
    prefix: Type.Optional(
      Type.String({ maxLength: 256, description: "Path inside the container below which every user's home lies. Default: the container's root." }),
    ),
    endpoint: Type.Optional(
      Type.String({
        pattern: '^https?://[^?#]+$',
        description: 'URL of the Blob service. Default: `https://<account>.blob.core.windows.net`. Set it for sovereign clouds, private links and Azurite.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Azure Blob Storage, entered by workload identity.' },
);

const LocalStorage = Type.Object(
  {
    path: Type.String({ pattern: '^/', maxLength: 1024, description: 'Absolute path of a directory on the machine (standalone) or of the mounted volume.' }),
    volumeClaim: Type.Optional(VolumeClaim),
  },
  { additionalProperties: false, description: 'A local directory: for a laptop and for volumes. Without the durability of a blob store.' },
);

const ServiceBusEvents = Type.Object(
  {
    namespace: Type.String({ pattern: '^[A-Za-z0-9.-]{6,255}$', description: 'Fully qualified namespace, such as `contoso.servicebus.windows.net`.' }),
    queue: Type.String({ minLength: 1, maxLength: 260, description: 'Queue that receives the events. Duplicate detection should be on.' }),
    endpoint: Type.Optional(
      Type.String({
        pattern: '^sb://[^/?#]+/?$',
        description: 'Connection address where it differs from the namespace, such as `sb://10.0.0.4:5671` (private link, emulator).',
      }),
    ),
  },
  { additionalProperties: false, description: 'Azure Service Bus, entered by workload identity.' },
);

const EventTypes = Type.Array(Type.Enum([...EVENT_TYPES]), {
  maxItems: 32,
  ...LIST_SET,
  description: `Types of events that the endpoint emits: ${EVENT_TYPES.map((type) => `\`${type}\``).join(', ')}. Downloads and logins are best effort: up to 1000 wait in a server's memory, further ones are dropped and counted. Default: all but downloads and logins. Empty: none.`,
});

const Ordering = Type.Enum(['None', 'PerPath'], {
  default: 'None',
  description:
    '`PerPath`: each target gets the events of one path one after the other, in the order of `sequence`; a delivery that waits for another try holds back the later ones of its path and target until it succeeds or is dead. Needs a Service Bus queue with sessions. A path then has about 20 events a second at most. `None`: deliveries may overtake each other.',
});

export const SftpEndpointSpec = Type.Object(
  {
    replicas: Type.Optional(Replicas),
    autoscaling: Type.Optional(Autoscaling),
    service: Type.Optional(EndpointService),
    hostKeys: Type.Optional(EndpointHostKeys),
    identity: Type.Optional(EndpointIdentity),
    drain: Type.Optional(Drain),
    allowedUsers: Type.Optional(AllowedUsers),
    authentication: Type.Optional(
      Type.Object(
        {
          methods: Type.Optional(
            Type.Array(Type.Enum(['PublicKey', 'Password']), {
              minItems: 1,
              maxItems: 2,
              ...LIST_SET,
              default: ['PublicKey', 'Password'],
              description: 'Ways to log in that the endpoint offers; any one of them suffices.',
            }),
          ),
        },
        { additionalProperties: false, description: 'How users prove who they are.' },
      ),
    ),
    allowedSourceRanges: Type.Optional(
      Type.Array(Cidr, {
        maxItems: 1024,
        ...LIST_SET,
        description:
          'CIDR ranges that may log in, for users without ranges of their own. Default: every address. Empty: none. With `service.clientAddress: Rewritten`: addresses of the firewall, for all users.',
      }),
    ),
    storage: Type.Object(
      { azureBlob: Type.Optional(AzureBlobStorage), local: Type.Optional(LocalStorage) },
      { additionalProperties: false, ...exactlyOneOf('azureBlob', 'local'), description: 'Where files live: exactly one kind.' },
    ),
    events: Type.Optional(
      Type.Object(
        { types: Type.Optional(EventTypes), serviceBus: Type.Optional(ServiceBusEvents), amqp: Type.Optional(AmqpEvents), ordering: Type.Optional(Ordering) },
        {
          additionalProperties: false,
          ...exactlyOneOf('serviceBus', 'amqp'),
          'x-kubernetes-validations': [
            ...exactlyOneOf('serviceBus', 'amqp')['x-kubernetes-validations'],
            {
              rule: "!has(self.ordering) || self.ordering == 'None' || has(self.serviceBus)",
              message: 'ordering: PerPath needs serviceBus, whose queues have sessions',
            },
          ],
          description: 'Which events there are, and where they go: exactly one kind of bus. Default: nowhere.',
        },
      ),
    ),
    limits: Type.Optional(
      Type.Object(
        {
          maxSessions: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 10000, default: 500, description: 'Sessions that one server process serves at a time.' }),
          ),
        },
        { additionalProperties: false, description: 'Bounds of the endpoint.' },
      ),
    ),
  },
  {
    additionalProperties: false,
    'x-kubernetes-validations': [
      {
        rule: "!has(self.service) || !has(self.service.clientAddress) || self.service.clientAddress != 'Rewritten' || has(self.allowedSourceRanges)",
        message: 'service.clientAddress: Rewritten needs allowedSourceRanges: the addresses of what rewrites',
      },
    ],
  },
);
export type SftpEndpointSpec = Static<typeof SftpEndpointSpec>;
export type SftpEndpoint = Resource<'SftpEndpoint', SftpEndpointSpec, ResourceStatus>;
