import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseEndpointSettings } from '@skiff/model/endpoint-settings';
import { parse, stringify } from 'yaml';
import { translateEndpointInput } from '../testing/translate-endpoint-input.ts';
import { completeConditions } from './complete-conditions.ts';

const folder = new URL('./golden-endpoint/', import.meta.url);

const translate = (text: string) => translateEndpointInput(parse(text));

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
