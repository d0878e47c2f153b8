import type { Block, ListItem, ListPage } from './container.ts';

const ENTITIES: Readonly<Record<string, string>> = { '<': '&lt;', '>': '&gt;', '&': '&amp;', '"': '&quot;', "'": '&apos;' };

// By name, as the real service does: the SDK's parser leaves numbered ones as they are.
function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (character) => ENTITIES[character] ?? '');
}

export function blockListXml(committed: readonly Block[] | undefined, uncommitted: readonly Block[] | undefined): string {
  const blocks = (list: readonly Block[]): string =>
    list.map(({ id, payload }) => `<Block><Name>${escapeXml(id)}</Name><Size>${payload.sizeBytes}</Size></Block>`).join('');
  const part = (tag: string, list: readonly Block[] | undefined): string => (list === undefined ? '' : `<${tag}>${blocks(list)}</${tag}>`);
  return document(`<BlockList>${part('CommittedBlocks', committed)}${part('UncommittedBlocks', uncommitted)}</BlockList>`);
}

export function parseBlockListXml(xml: string): readonly { readonly kind: string; readonly id: string }[] {
  return [...xml.matchAll(/<(Latest|Committed|Uncommitted)>([^<]*)<\/\1>/g)].map(([, kind = '', id = '']) => ({ kind, id }));
}

export interface Enumeration extends ListPage {
  readonly endpoint: string;
  readonly container: string;
  readonly prefix: string;
  readonly delimiter: string;
  readonly withMetadata: boolean;
}

export function enumerationXml(enumeration: Enumeration): string {
  const { endpoint, container, prefix, delimiter, nextMarker, items, withMetadata } = enumeration;
  const blobs = items.map((item) => itemXml(item, withMetadata)).join('');
  return document(
    `<EnumerationResults ServiceEndpoint="${escapeXml(endpoint)}" ContainerName="${container}"><Prefix>${escapeXml(prefix)}</Prefix>` +
      `<Delimiter>${escapeXml(delimiter)}</Delimiter><Blobs>${blobs}</Blobs><NextMarker>${escapeXml(nextMarker)}</NextMarker></EnumerationResults>`,
  );
}

function itemXml({ name, blob }: ListItem, withMetadata: boolean): string {
  if (blob === undefined) return `<BlobPrefix><Name>${escapeXml(name)}</Name></BlobPrefix>`;
  const properties =
    `<Last-Modified>${blob.modifiedAt.toUTCString()}</Last-Modified><Etag>${blob.etag.slice(1, -1)}</Etag><Content-Length>${blob.sizeBytes}</Content-Length>` +
    `<Content-Type>${escapeXml(blob.contentType)}</Content-Type><BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>`;
  const metadata = Object.entries(blob.metadata).map(([key, value]) => `<${key}>${escapeXml(value)}</${key}>`);
  return `<Blob><Name>${escapeXml(name)}</Name><Properties>${properties}</Properties>${withMetadata ? `<Metadata>${metadata.join('')}</Metadata>` : ''}</Blob>`;
}

export function errorXml(code: string): string {
  return document(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}

function document(body: string): string {
  return `<?xml version="1.0" encoding="utf-8"?>${body}`;
}
