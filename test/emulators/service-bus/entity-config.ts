import Type, { type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';

/** Settings of one queue, dead-letter queue or subscription. Times in milliseconds, 0 for "never". */
export interface QueueSettings {
  readonly name: string;
  readonly lockMs: number;
  readonly maxDeliveryCount: number;
  readonly duplicateWindowMs: number;
  readonly requiresSession: boolean;
  readonly timeToLiveMs: number;
  readonly deadLetterOnExpiry: boolean;
}

/** A filter lets a message pass when each property it names is equal; one with no names lets all pass. */
export interface CorrelationFilter {
  readonly system: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface TopicSettings {
  readonly name: string;
  readonly subscriptions: readonly { readonly queue: QueueSettings; readonly filters: readonly CorrelationFilter[] }[];
}

export interface Entities {
  readonly queues: readonly QueueSettings[];
  readonly topics: readonly TopicSettings[];
}

const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema);
const strict = { additionalProperties: false };

const Properties = Type.Object(
  {
    LockDuration: optional(Type.String()),
    MaxDeliveryCount: optional(Type.Integer({ minimum: 1 })),
    RequiresDuplicateDetection: optional(Type.Boolean()),
    DuplicateDetectionHistoryTimeWindow: optional(Type.String()),
    RequiresSession: optional(Type.Boolean()),
    DefaultMessageTimeToLive: optional(Type.String()),
    DeadLetteringOnMessageExpiration: optional(Type.Boolean()),
    // Microsoft's samples carry these as empty strings; forwarding itself is not emulated.
    ForwardTo: optional(Type.Literal('')),
    ForwardDeadLetteredMessagesTo: optional(Type.Literal('')),
  },
  strict,
);

const Rule = Type.Object(
  {
    Name: Type.String(),
    Properties: Type.Object(
      {
        FilterType: Type.Literal('Correlation'),
        CorrelationFilter: Type.Object(
          {
            ContentType: optional(Type.String()),
            CorrelationId: optional(Type.String()),
            Label: optional(Type.String()),
            MessageId: optional(Type.String()),
            ReplyTo: optional(Type.String()),
            SessionId: optional(Type.String()),
            To: optional(Type.String()),
            Properties: optional(Type.Record(Type.String(), Type.Unknown())),
          },
          strict,
        ),
      },
      strict,
    ),
  },
  strict,
);

const Queue = Type.Object({ Name: Type.String({ minLength: 1 }), Properties: optional(Properties) }, strict);
const Subscription = Type.Object({ Name: Type.String({ minLength: 1 }), Properties: optional(Properties), Rules: optional(Type.Array(Rule)) }, strict);
const Topic = Type.Object({ Name: Type.String({ minLength: 1 }), Properties: optional(Properties), Subscriptions: optional(Type.Array(Subscription)) }, strict);

/** `Config.json` of Microsoft's Service Bus emulator (learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator). */
export const EmulatorConfigFile = Type.Object({
  UserConfig: Type.Object({
    Namespaces: Type.Array(Type.Object({ Name: Type.String(), Queues: optional(Type.Array(Queue)), Topics: optional(Type.Array(Topic)) }, strict), {
      minItems: 1,
    }),
    Logging: optional(Type.Unknown()),
  }),
});
export type EmulatorConfigFile = Static<typeof EmulatorConfigFile>;

/** @throws for a field that the emulator does not honour: SQL filters and forwarding, for instance. */
export function parseEntities(value: unknown): Entities {
  Value.Assert(EmulatorConfigFile, value);
  const namespaces = value.UserConfig.Namespaces;
  return {
    queues: namespaces.flatMap(({ Queues = [] }) => Queues.map((queue) => toQueueSettings(queue.Name, queue.Properties))),
    topics: namespaces.flatMap(({ Topics = [] }) => Topics.map(toTopicSettings)),
  };
}

function toTopicSettings(topic: Static<typeof Topic>): TopicSettings {
  const duplicates = topic.Properties?.RequiresDuplicateDetection ? topic.Properties : undefined;
  return {
    name: topic.Name,
    subscriptions: (topic.Subscriptions ?? []).map((subscription) => ({
      // The topic's duplicate detection is done per subscription: same outcome, and it is logged with the message.
      queue: toQueueSettings(`${topic.Name}/Subscriptions/${subscription.Name}`, {
        ...subscription.Properties,
        RequiresDuplicateDetection: duplicates !== undefined,
        ...(duplicates?.DuplicateDetectionHistoryTimeWindow === undefined
          ? {}
          : { DuplicateDetectionHistoryTimeWindow: duplicates.DuplicateDetectionHistoryTimeWindow }),
      }),
      filters: (subscription.Rules ?? []).map((rule) => toFilter(rule.Properties.CorrelationFilter)),
    })),
  };
}

function toFilter(filter: Static<typeof Rule>['Properties']['CorrelationFilter']): CorrelationFilter {
  const { Properties: properties = {}, ...system } = filter;
  return { system, properties };
}

function toQueueSettings(name: string, properties: Static<typeof Properties> = {}): QueueSettings {
  return {
    name,
    lockMs: durationMs(properties.LockDuration ?? 'PT1M'),
    maxDeliveryCount: properties.MaxDeliveryCount ?? 10,
    duplicateWindowMs: properties.RequiresDuplicateDetection === true ? durationMs(properties.DuplicateDetectionHistoryTimeWindow ?? 'PT10M') : 0,
    requiresSession: properties.RequiresSession ?? false,
    timeToLiveMs: properties.DefaultMessageTimeToLive === undefined ? 0 : durationMs(properties.DefaultMessageTimeToLive),
    deadLetterOnExpiry: properties.DeadLetteringOnMessageExpiration ?? false,
  };
}

/** ISO 8601 durations as .NET writes them: `P1DT2H3M4.5S`. @throws {RangeError} for anything else. */
export function durationMs(text: string): number {
  const match = /^P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text);
  if (match === null) throw new RangeError(`not a duration: ${text}`);
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0));
  return ((days * 24 + hours) * 60 + minutes) * 60_000 + Math.round(seconds * 1_000);
}

export function toDuration(ms: number): string {
  return `PT${ms / 1_000}S`;
}
