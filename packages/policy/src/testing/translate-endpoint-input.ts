import assert from 'node:assert/strict';
import { parseResource } from '@skiff/model/parse-resource';
import { translateEndpoint } from '../translate/endpoint.ts';

export interface EndpointInput {
  readonly metadata: object;
  readonly spec: object;
}

/** Translates an endpoint that the API server would admit. */
export function translateEndpointInput({ metadata, spec }: EndpointInput): ReturnType<typeof translateEndpoint> {
  const serverSide = { uid: 'uid', generation: 3, creationTimestamp: '2026-01-01T00:00:00Z' };
  const parsed = parseResource({ apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpEndpoint', metadata: { ...serverSide, ...metadata }, spec });
  assert.ok(parsed.ok && parsed.resource.kind === 'SftpEndpoint', parsed.ok ? '' : parsed.errors.join('\n'));
  return translateEndpoint(parsed.resource);
}
