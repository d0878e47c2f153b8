import { join } from 'node:path';
import { type AmqpAccess, type AmqpOptions, createAmqpConsumer, createAmqpPublisher } from '@skiff/messaging/amqp';
import type { EventConsumer, EventPublisher } from '@skiff/messaging/event-bus';
import { createServiceBusConsumer, createServiceBusPublisher } from '@skiff/messaging/service-bus';
import type { EndpointSettings } from '@skiff/model/endpoint-settings';
import type { EventBusSecret } from '@skiff/model/event-bus-secrets';
import { StoreError } from '@skiff/model/store-error';
import { readMountedSecret, type SecretReader } from '@skiff/router/secret-reader';
import type { Logger } from '@skiff/runtime/logger';
import type { Secret } from '@skiff/runtime/secret';
import type { Environment } from '../configuration/environment.ts';
import type { ProcessParts } from './process-parts.ts';

/** Gives what an event bus needs from Secrets; undefined: it is not there, or not yet. @throws {StoreError} when that is not known now. */
export type EventBusSecrets = (secret: EventBusSecret) => Promise<Secret<string> | undefined>;

/** From the folder that the operator has the Secrets mounted into: one file each. */
export function mountedEventBusSecrets(environment: Environment): EventBusSecrets {
  const directory = environment.text('SKIFF_EVENT_BUS_SECRETS_DIR');
  return async (secret) => (directory === undefined ? undefined : readMountedSecret(join(directory, secret)));
}

/** From where the endpoint's manifest names them. */
export function namedEventBusSecrets({ namespace, events }: EndpointSettings, reader: SecretReader): EventBusSecrets {
  return async (secret) => {
    const ref = events?.kind === 'amqp' ? events.secrets[secret] : undefined;
    return ref === undefined ? undefined : reader.read(namespace, ref);
  };
}

export interface EventBusProps {
  readonly settings: EndpointSettings;
  readonly secrets: EventBusSecrets;
  readonly logger: Logger;
}

/** Undefined: the endpoint has no queue. */
export function createPublisher(parts: ProcessParts, props: EventBusProps): EventPublisher | undefined {
  const { events } = props.settings;
  if (events === null) return undefined;
  return events.kind === 'amqp' ? createAmqpPublisher(amqpOptions(events, props)) : createServiceBusPublisher(serviceBusOptions(parts, events, props.logger));
}

/** Undefined: the endpoint has no queue. */
export function createConsumer(parts: ProcessParts, props: EventBusProps & { readonly concurrency: number }): EventConsumer | undefined {
  const { concurrency, logger } = props;
  const { events } = props.settings;
  if (events === null) return undefined;
  if (events.kind === 'serviceBus') return createServiceBusConsumer({ ...serviceBusOptions(parts, events, logger), concurrency });
  const { deadLetterAddress } = events;
  return createAmqpConsumer({ ...amqpOptions(events, props), concurrency, ...(deadLetterAddress === null ? {} : { deadLetterAddress }) });
}

type Events<Kind> = Extract<NonNullable<EndpointSettings['events']>, { readonly kind: Kind }>;

function serviceBusOptions({ azure }: ProcessParts, { namespace, queue, endpoint, ordering }: Events<'serviceBus'>, logger: Logger) {
  return { sessions: ordering === 'PerPath', namespace, queue, ...(endpoint === null ? {} : { endpoint }), credential: azure, logger };
}

function amqpOptions(events: Events<'amqp'>, { secrets, logger }: EventBusProps): AmqpOptions {
  return { url: events.url, address: events.address, access: () => accessTo(events, secrets), logger };
}

async function accessTo({ username, secrets: refs }: Events<'amqp'>, secrets: EventBusSecrets): Promise<AmqpAccess> {
  const needed = async (secret: EventBusSecret): Promise<Secret<string>> => {
    const value = await secrets(secret);
    if (value !== undefined) return value;
    throw new StoreError({
      code: 'unavailable',
      message: `the event bus's ${secret} has not reached this process: Secret ${refs[secret]?.name}, key ${refs[secret]?.key}`,
    });
  };
  return {
    ...(username === null ? {} : { login: { username, password: await needed('password') } }),
    ...(refs.ca === undefined ? {} : { tls: { ca: (await needed('ca')).reveal() } }),
  };
}
