import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isRecord } from '../is-record.ts';
import { CrdError, toCrd, toStructural } from './crd.ts';
import { KINDS } from './kinds.ts';
import { toReference } from './resource-reference.ts';

/** Every schema inside a schema. */
function* schemasIn(value: unknown, path: string): Generator<readonly [string, Record<string, unknown>]> {
  if (!isRecord(value)) return;
  if (typeof value.type === 'string') yield [path, value];
  for (const [name, child] of Object.entries(isRecord(value.properties) ? value.properties : {})) yield* schemasIn(child, `${path}.${name}`);
  yield* schemasIn(value.items, `${path}[]`);
}

function schemaOf(kind: string): Record<string, unknown> {
  const info = KINDS.find((candidate) => candidate.kind === kind);
  assert.ok(info);
  return { ...toStructural(info.spec, 'spec') };
}

function fieldOf(kind: string, path: string): Record<string, unknown> {
  const found = [...schemasIn(schemaOf(kind), 'spec')].find(([candidate]) => candidate === path);
  assert.ok(found, path);
  return found[1];
}

describe('CRD', () => {
  for (const info of KINDS) {
    it(`of ${info.kind} has only what a structural schema may have`, () => {
      const forbidden = ['uniqueItems', 'anyOf', 'const', 'default', 'x-skiff-exactly-one-of'];
      for (const [path, schema] of schemasIn(schemaOf(info.kind), 'spec')) {
        for (const keyword of forbidden) assert.ok(!(keyword in schema), `${path}: ${keyword}`);
        // A structural schema has named properties or is a map, never both.
        assert.ok(!('additionalProperties' in schema && 'properties' in schema), path);
        if (schema.type === 'array') assert.ok(['map', 'set', 'atomic'].includes(String(schema['x-kubernetes-list-type'])), path);
      }
    });

    it(`of ${info.kind} documents every field`, () => {
      for (const [path, schema] of schemasIn(schemaOf(info.kind), 'spec')) {
        if (path !== 'spec' && !path.endsWith('[]')) assert.ok(String(schema.description ?? '').length > 5, path);
      }
    });

    it(`of ${info.kind} has a bound for every list and every number`, () => {
      for (const [path, schema] of schemasIn(schemaOf(info.kind), 'spec')) {
        if (schema.type === 'array') assert.ok(typeof schema.maxItems === 'number', path);
        if (schema.type === 'integer') assert.ok(typeof schema.maximum === 'number', path);
        if (schema.type === 'string') assert.ok(schema.maxLength !== undefined || schema.pattern !== undefined || schema.enum !== undefined, path);
      }
    });
  }

  it('keeps usernames and endpointRefs as they were made', () => {
    for (const [kind, path] of [
      ['SftpUser', 'spec.username'],
      ['SftpUser', 'spec.endpointRef'],
      ['EventRoute', 'spec.endpointRef'],
    ] as const) {
      assert.match(JSON.stringify(fieldOf(kind, path)['x-kubernetes-validations']), /self == oldSelf/, path);
    }
  });

  it('asks for exactly one kind of storage, events and target', () => {
    assert.match(JSON.stringify(fieldOf('SftpEndpoint', 'spec.storage')), /\(has\(self\.azureBlob\) \? 1 : 0\) \+ \(has\(self\.local\) \? 1 : 0\) == 1/);
    assert.match(JSON.stringify(fieldOf('EventRoute', 'spec.targets[]')), /\(has\(self\.http\) \? 1 : 0\) \+ .* == 1/);
  });

  it('merges keys, permissions and targets by their names', () => {
    const keys = (kind: string, path: string) => fieldOf(kind, path)['x-kubernetes-list-map-keys'];
    assert.deepEqual(
      [keys('SftpUser', 'spec.authorizedKeys'), keys('SftpUser', 'spec.permissions'), keys('EventRoute', 'spec.targets')],
      [['name'], ['path'], ['name']],
    );
    assert.equal(fieldOf('SftpUser', 'spec.allowedSourceRanges')['x-kubernetes-list-type'], 'set');
  });

  it('tells defaults in words and writes none into objects', () => {
    assert.equal(fieldOf('SftpEndpoint', 'spec.service.port').description, 'TCP port that partners connect to. Default: 22.');
  });

  it('has the names, the category and the status that kubectl and GitOps tools expect', () => {
    const text = JSON.stringify(KINDS.map(toCrd));
    for (const name of [
      '"sftpep"',
      '"sftpu"',
      '"evr"',
      '"categories":["skiff"]',
      '"subresources":{"status":{}}',
      '"x-kubernetes-list-map-keys":["type"]',
      'type==\\"Ready\\"',
    ]) {
      assert.ok(text.includes(name), name);
    }
  });

  it('is refused for what Kubernetes cannot express', () => {
    const object = (child: Record<string, unknown>) => ({ type: 'object', additionalProperties: false, properties: { a: child } });
    const schemas = [
      object({ anyOf: [], description: 'd' }),
      object({ type: 'string' }),
      object({ type: 'array', items: { type: 'string' }, description: 'd' }),
      object({ type: 'array', items: { type: 'string' }, uniqueItems: true, description: 'd' }),
      { type: 'object', properties: {} },
    ];
    for (const schema of schemas) assert.throws(() => toStructural(schema, 'spec'), CrdError, JSON.stringify(schema));
  });
});

describe('reference', () => {
  it('has a row for every field of every kind', () => {
    const text = toReference();
    for (const info of KINDS) {
      for (const [path] of schemasIn(schemaOf(info.kind), 'spec')) {
        if (path !== 'spec' && !path.endsWith('[]')) assert.ok(text.includes(`| \`${path}\` |`), path);
      }
    }
    assert.ok(text.includes('| `spec.service.port` | integer |  | `22` |'));
  });
});
