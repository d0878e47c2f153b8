import { EventRouteSpec } from './event-route.ts';
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
    columns: [ENDPOINT, READY, REASON, MESSAGE, AGE],
  },
];
