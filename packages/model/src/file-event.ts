import Type, { type Static } from 'typebox';

/** Changes of files and directories. Their events are recorded with the change, and none is lost. */
export const FILE_EVENT_TYPES = [
  'dev.skiff.file.uploaded',
  'dev.skiff.file.removed',
  'dev.skiff.file.renamed',
  'dev.skiff.directory.created',
  'dev.skiff.directory.removed',
  'dev.skiff.directory.renamed',
] as const;
export type FileEventType = (typeof FILE_EVENT_TYPES)[number];

/** What happened to which file, for whom. Sizes in bytes, times as RFC 3339 in UTC. */
export const FileEventData = Type.Object({
  operationId: Type.String({
    description: 'Id of the operation that made this event; the uploaded blob carries it as metadata `skiff_upload`. A download has one of its own.',
  }),
  endpoint: Type.Object({ namespace: Type.String(), name: Type.String() }),
  username: Type.String(),
  clientAddress: Type.Optional(Type.String({ description: "The client's IP address as the server saw it." })),
  path: Type.String({ description: "The file's path as the user sees it, starting with `/`." }),
  sourcePath: Type.Optional(Type.String({ description: 'Renames only: the path before.' })),
  sizeBytes: Type.Optional(Type.Integer({ minimum: 0 })),
  blob: Type.Object({
    container: Type.String(),
    name: Type.String(),
    url: Type.String({ description: 'Address without credentials.' }),
    etag: Type.Optional(Type.String({ description: 'ETag of the version that was committed or read, where it is known.' })),
  }),
  bytesSent: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Downloads only: how many bytes of the file were sent, each counted once however often it was read.' }),
  ),
  complete: Type.Optional(
    Type.Boolean({
      description:
        'Downloads only: true when every byte was sent over this one file handle and the client then closed it. False for a part, a resumed download, one stream of several, and a connection that broke off.',
    }),
  ),
  unconfirmed: Type.Optional(Type.Boolean({ description: 'True when recovery found the effect already there and cannot tell whose it was.' })),
});
export type FileEventData = Static<typeof FileEventData>;

/** A CloudEvents 1.0 event in its JSON form (structured mode). */
export const FileEvent = Type.Object({
  specversion: Type.Literal('1.0'),
  id: Type.String({ description: 'Stable over every redelivery: the key to recognise duplicates by.' }),
  source: Type.String({ description: '`/skiff/<namespace>/<endpoint>`' }),
  type: Type.String(),
  subject: Type.String({ description: 'Blob name: the container-relative path of the file.' }),
  time: Type.String({ description: 'When the operation was recorded, RFC 3339.' }),
  datacontenttype: Type.Literal('application/json'),
  sequence: Type.Optional(Type.String({ description: 'Decimal, 20 digits. Later changes of one path have a greater one. Downloads have none.' })),
  data: FileEventData,
});
export type FileEvent = Static<typeof FileEvent>;

/** `sequence` compares as text because it has a fixed width (CloudEvents sequence extension). */
export function formatSequence(sequence: bigint | number): string {
  return sequence.toString().padStart(20, '0');
}

/** CloudEvents `source` of an endpoint. */
export function eventSource(endpoint: { readonly namespace: string; readonly name: string }): string {
  return `/skiff/${endpoint.namespace}/${endpoint.name}`;
}

export const CLOUD_EVENTS_JSON = 'application/cloudevents+json';
