import Type, { type Static } from 'typebox';
import type { ResourceStatus } from './condition.ts';
import type { Resource } from './object-meta.ts';
import { exactlyOneOf, immutable, LIST_SET, listMapBy, ObjectName } from './schema-parts.ts';

const HttpTarget = Type.Object(
  {
    url: Type.String({
      pattern: '^https?://[^\\s#]+$',
      maxLength: 2048,
      description: 'Address that receives a POST for each event. Any 2xx answer is success.',
    }),
    format: Type.Optional(
      Type.Enum(['Structured', 'Binary'], {
        default: 'Structured',
        description: 'CloudEvents content mode: the whole event as JSON, or its attributes as `ce-` headers.',
      }),
    ),
    headers: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$', description: 'Header name.' }),
            value: Type.String({ maxLength: 1024, description: 'Header value. Not for secrets.' }),
          },
          { additionalProperties: false },
        ),
        { maxItems: 16, ...listMapBy('name'), description: 'Headers added to each request.' },
      ),
    ),
  },
  { additionalProperties: false, description: 'HTTP endpoint of an application.' },
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

const Target = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$', description: 'Name of the target, unique within the route.' }),
    http: Type.Optional(HttpTarget),
    delivery: Type.Optional(Delivery),
  },
  { additionalProperties: false, ...exactlyOneOf('http') },
);

export const EventRouteSpec = Type.Object(
  {
    endpointRef: Type.Object(
      { name: ObjectName('Name of the SftpEndpoint.'), namespace: Type.Optional(ObjectName("Namespace of the SftpEndpoint. Default: the route's own.")) },
      { additionalProperties: false, ...immutable('endpointRef'), description: 'Endpoint whose events are routed. Immutable.' },
    ),
    match: Type.Optional(
      Type.Object(
        {
          types: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
              minItems: 1,
              maxItems: 32,
              ...LIST_SET,
              description: 'Event types, such as `dev.skiff.file.uploaded`. Default: all.',
            }),
          ),
          usernames: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 1024, ...LIST_SET, description: 'Usernames. Default: all.' }),
          ),
          paths: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), {
              minItems: 1,
              maxItems: 64,
              ...LIST_SET,
              description:
                'Globs over the path as the user sees it, such as `/invoices/**/*.{csv,xml}`: `*` and `?` within a name, `**` over directories, `[a-z]`, `{a,b}`. A rename is matched by its new path. Default: all.',
            }),
          ),
        },
        { additionalProperties: false, description: 'Which events the route takes: all the given conditions must hold. Default: every event.' },
      ),
    ),
    targets: Type.Array(Target, { minItems: 1, maxItems: 16, ...listMapBy('name'), description: 'Where matching events go: to each of them.' }),
  },
  { additionalProperties: false },
);
export type EventRouteSpec = Static<typeof EventRouteSpec>;
export type EventRoute = Resource<'EventRoute', EventRouteSpec, ResourceStatus>;
export type RouteTarget = EventRouteSpec['targets'][number];
