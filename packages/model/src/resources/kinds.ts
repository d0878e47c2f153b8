import { EventRouteSpec } from './event-route.ts';
import { HOST_KEYS_STATUS } from './host-key.ts';
import type { ResourceKind } from './object-meta.ts';
import { SftpEndpointSpec } from './sftp-endpoint.ts';
import { SftpUserSpec } from './sftp-user.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'boolean';
  readonly jsonPath: string;
  readonly description: string;
  /** Above 0: shown by `-o wide` only. */
  readonly priority?: number;
}

/** What a CRD says of a kind beyond its schema. */
export interface KindInfo {
  readonly kind: ResourceKind;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly columns: readonly PrinterColumn[];
  /** What stands in the status beside the conditions: structural schemas by name. */
  readonly status?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const READY: PrinterColumn = {
  name: 'Ready',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].status',
  description: 'Whether it is in force and can be used.',
};
const REASON: PrinterColumn = {
  name: 'Reason',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
  description: 'Why it is ready or not.',
};
const MESSAGE: PrinterColumn = {
  name: 'Message',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].message',
  description: 'What to do.',
  priority: 1,
};
const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' };
const ENDPOINT: PrinterColumn = { name: 'Endpoint', type: 'string', jsonPath: '.spec.endpointRef.name', description: 'SftpEndpoint it belongs to.' };

const DELIVERIES = {
  type: 'object',
  description: 'What the events came to at the targets, over all of them. Written at most once a minute, and only when it has changed.',
  required: ['succeeded', 'retrying', 'dead'],
  properties: {
    succeeded: {
      type: 'integer',
      format: 'int64',
      minimum: 0,
      description: 'Deliveries that succeeded since the route was first seen. After a crash of the database or a router some may be missing or counted twice.',
    },
    retrying: { type: 'integer', format: 'int64', minimum: 0, description: 'Deliveries that failed or were put aside and wait for another attempt.' },
    dead: {
      type: 'integer',
      format: 'int64',
      minimum: 0,
      description:
        'Deliveries that were given up, by a rejection or after the last attempt. `skiff deliveries replay` tries them again; they are kept for 14 days.',
    },
    lastSuccessTime: { type: 'string', format: 'date-time', description: 'When a delivery last succeeded, to about ten seconds.' },
    lastFailureTime: { type: 'string', format: 'date-time', description: 'When an attempt last failed.' },
    lastFailureReason: { type: 'string', maxLength: 512, description: 'Name of the target and what it answered then.' },
  },
} as const;

export const KINDS: readonly KindInfo[] = [
  {
    kind: 'SftpEndpoint',
    plural: 'sftpendpoints',
    singular: 'sftpendpoint',
    shortNames: ['sftpep'],
    description: 'An SFTP service that partners connect to: where it listens, how users log in, where files and events go.',
    spec: { ...SftpEndpointSpec },
    columns: [{ name: 'Address', type: 'string', jsonPath: '.status.address', description: 'Where partners connect to.' }, READY, REASON, MESSAGE, AGE],
    status: {
      address: {
        type: 'string',
        description: 'Where partners connect to: address or name of the load balancer, or the name of the Service inside the cluster.',
      },
      hostKeys: HOST_KEYS_STATUS,
    },
  },
  {
    kind: 'SftpUser',
    plural: 'sftpusers',
    singular: 'sftpuser',
    shortNames: ['sftpu'],
    description: 'A user who logs in to an SftpEndpoint: credentials, addresses, home directory and permissions.',
    spec: { ...SftpUserSpec },
    columns: [{ name: 'Username', type: 'string', jsonPath: '.spec.username', description: 'Login name.' }, ENDPOINT, READY, REASON, MESSAGE, AGE],
  },
  {
    kind: 'EventRoute',
    plural: 'eventroutes',
    singular: 'eventroute',
    shortNames: ['evr'],
    description: "Sends an endpoint's events to applications: which events, to which targets, how hard to try.",
    spec: { ...EventRouteSpec },
    columns: [
      ENDPOINT,
      READY,
      REASON,
      { name: 'Succeeded', type: 'integer', jsonPath: '.status.deliveries.succeeded', description: 'Deliveries that succeeded.' },
      { name: 'Retrying', type: 'integer', jsonPath: '.status.deliveries.retrying', description: 'Deliveries that wait for another attempt.' },
      { name: 'Dead', type: 'integer', jsonPath: '.status.deliveries.dead', description: 'Deliveries that were given up.' },
      { name: 'Last Success', type: 'date', jsonPath: '.status.deliveries.lastSuccessTime', description: 'Time since a delivery succeeded.', priority: 1 },
      { name: 'Last Failure', type: 'string', jsonPath: '.status.deliveries.lastFailureReason', description: 'Why an attempt failed.', priority: 1 },
      MESSAGE,
      AGE,
    ],
    status: { deliveries: DELIVERIES },
  },
];
