import Type, { type Static } from 'typebox';
import type { ResourceStatus } from './condition.ts';
import type { Resource } from './object-meta.ts';
import { RouteTarget } from './route-target.ts';
import { immutable, LIST_SET, listMapBy, ObjectName } from './schema-parts.ts';

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
                'Globs over the path as the user sees it, such as `/invoices/**/*.{csv,xml}`: `*` and `?` within a name, `**` over directories, `[a-z]`, `{a,b}`. A rename is matched by its new path; a login has none. Default: all.',
            }),
          ),
          expression: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 1024,
              description:
                'Condition in CEL over `event` and `body`, such as `event.data.sizeBytes > 1000`. For JSON messages of other systems `event` is empty and `body` is the message; for events of Skiff both are the event. Where a field is missing, the route does not take the message: ask with `has(event.data.sizeBytes)`. Without `matches()` and nested iterations. Default: every event.',
            }),
          ),
        },
        { additionalProperties: false, description: 'Which events the route takes: all the given conditions must hold. Default: every event.' },
      ),
    ),
    targets: Type.Array(RouteTarget, { minItems: 1, maxItems: 16, ...listMapBy('name'), description: 'Where matching events go: to each of them.' }),
  },
  { additionalProperties: false },
);
export type EventRouteSpec = Static<typeof EventRouteSpec>;
export type EventRoute = Resource<'EventRoute', EventRouteSpec, ResourceStatus>;
export type { RouteTarget };
