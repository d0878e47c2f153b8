import type { BestEffortEventType, EventType } from './event-types.ts';
import { eventSource, type FileEvent, type FileEventData, type FileEventType, formatSequence } from './file-event.ts';
import type { LoginEvent, LoginEventData } from './login-event.ts';
import type { SkiffEvent } from './skiff-event.ts';

const endpoint = { namespace: 'files', name: 'main' };
const username = 'acme';
const clientAddress = '203.0.113.7';

/** One event of each type as a consumer may get it: the JSON Schemas show them. */
export const EVENT_EXAMPLES: Readonly<Record<EventType, SkiffEvent>> = {
  'dev.skiff.file.uploaded': change('dev.skiff.file.uploaded', 1, { path: '/in/orders.csv', sizeBytes: 20_480 }),
  'dev.skiff.file.removed': change('dev.skiff.file.removed', 2, { path: '/in/orders.csv', sizeBytes: 20_480 }),
  'dev.skiff.file.renamed': change('dev.skiff.file.renamed', 3, { path: '/in/orders.csv', sourcePath: '/in/orders.csv.part', sizeBytes: 20_480 }),
  'dev.skiff.directory.created': change('dev.skiff.directory.created', 4, { path: '/in/2026' }),
  'dev.skiff.directory.removed': change('dev.skiff.directory.removed', 5, { path: '/in/2026' }),
  'dev.skiff.directory.renamed': change('dev.skiff.directory.renamed', 6, { path: '/in/2026', sourcePath: '/in/new' }),
  'dev.skiff.file.downloaded': file('dev.skiff.file.downloaded', 7, { path: '/out/prices.csv', sizeBytes: 4_096, bytesSent: 4_096, complete: true }),
  'dev.skiff.login.succeeded': login('dev.skiff.login.succeeded', 8, {
    method: 'PublicKey',
    credential: 'laptop',
    keyFingerprint: 'SHA256:uNiVztksCsDhcc0u9e8BrrfiWyMJGTKkOJUTjHpIC34',
  }),
  'dev.skiff.login.failed': login('dev.skiff.login.failed', 9, { method: 'Password', reason: 'PasswordWrong' }),
};

function idOf(number: number): string {
  return number.toString(16).padStart(32, '0');
}

function common(number: number) {
  return {
    specversion: '1.0',
    id: `skf-${idOf(number)}`,
    source: eventSource(endpoint),
    time: '2026-01-31T12:00:00.000Z',
    datacontenttype: 'application/json',
  } as const;
}

function change(type: FileEventType, number: number, data: Partial<FileEventData> & Pick<FileEventData, 'path'>): FileEvent {
  return { ...file(type, number, data), sequence: formatSequence(number) };
}

function file(type: FileEventType | BestEffortEventType, number: number, data: Partial<FileEventData> & Pick<FileEventData, 'path'>): FileEvent {
  const name = `acme${data.path}`;
  const blob = { container: 'files', name, url: `https://account.blob.core.windows.net/files/${name}` };
  return { ...common(number), type, subject: name, data: { operationId: idOf(number), endpoint, username, clientAddress, blob, ...data } };
}

function login(type: LoginEvent['type'], number: number, data: Pick<LoginEventData, 'method' | 'credential' | 'keyFingerprint' | 'reason'>): LoginEvent {
  return { ...common(number), type, subject: username, data: { endpoint, username, clientAddress, ...data } };
}
