import type { DeliveryInput } from '@skiff/messaging/delivery-target';
import { CLOUD_EVENTS_JSON, type FileEvent } from '@skiff/model/file-event';

/** What a router hands to a target for an uploaded file. */
export function uploadedInput(id: string, data: Partial<FileEvent['data']> = {}): DeliveryInput & { readonly event: FileEvent } {
  const event: FileEvent = {
    specversion: '1.0',
    id,
    source: '/skiff/team/main',
    type: 'dev.skiff.file.uploaded',
    subject: 'anna/in/ü.csv',
    time: '2026-01-01T00:00:00Z',
    datacontenttype: 'application/json',
    data: {
      operationId: id,
      endpoint: { namespace: 'team', name: 'main' },
      username: 'anna',
      path: '/in/ü.csv',
      sizeBytes: 3,
      blob: { container: 'files', name: 'anna/in/ü.csv', url: 'https://blob.example/files/x' },
      ...data,
    },
  };
  return { eventId: id, event, body: Buffer.from(JSON.stringify(event)), contentType: CLOUD_EVENTS_JSON, attempt: 1 };
}
