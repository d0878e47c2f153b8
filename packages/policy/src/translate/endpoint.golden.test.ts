import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseEndpointSettings } from '@skiff/model/endpoint-settings';
import { parseResource } from '@skiff/model/parse-resource';
import { parse, stringify } from 'yaml';
import { completeConditions } from './complete-conditions.ts';
import { translateEndpoint } from './endpoint.ts';

const folder = new URL('./golden-endpoint/', import.meta.url);

function translate(text: string): ReturnType<typeof translateEndpoint> {
  const { metadata, spec } = parse(text);
  const serverSide = { uid: 'uid', generation: 3, creationTimestamp: '2026-01-01T00:00:00Z' };
  const parsed = parseResource({ apiVersion: 'skiff.dev/v1alpha1', kind: 'SftpEndpoint', metadata: { ...serverSide, ...metadata }, spec });
  assert.ok(parsed.ok && parsed.resource.kind === 'SftpEndpoint', parsed.ok ? '' : parsed.errors.join('\n'));
  return translateEndpoint(parsed.resource);
}

describe('translation of an endpoint', () => {
  for (const input of readdirSync(folder).filter((name) => name.endsWith('.in.yaml'))) {
    it(`of ${input} gives what its .out.yaml says, and the settings are fit for a ConfigMap`, () => {
      const { settings, verdict } = translate(readFileSync(new URL(input, folder), 'utf8'));
      if (settings !== undefined) assert.deepEqual(parseEndpointSettings(JSON.stringify(settings)), settings);
      const conditions = completeConditions(verdict, { status: 'True' }).map(({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`);
      const actual = stringify({ settings: settings ?? null, conditions }, { lineWidth: 0 });
      const output = new URL(input.replace('.in.yaml', '.out.yaml'), folder);
      if (process.env.UPDATE_GOLDEN === '1') writeFileSync(output, actual);
      assert.ok(existsSync(output), 'no golden file: run once with UPDATE_GOLDEN=1 and read what it wrote');
      assert.deepEqual(parse(actual), parse(readFileSync(output, 'utf8')));
    });
  }

  it('is the same for prefixes that name the same place', () => {
    const prefixes = ['in', '/in', 'in/', '//in/./'].map(
      (prefix) =>
        translate(`metadata: {namespace: a, name: b}\nspec: {storage: {azureBlob: {account: contoso, container: ccc, prefix: ${prefix}}}}`).settings?.storage,
    );
    assert.equal(new Set(prefixes.map((storage) => JSON.stringify(storage))).size, 1);
  });
});
