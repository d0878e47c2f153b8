import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { isRecord } from '@skiff/model/is-record';
import { KINDS } from '@skiff/model/kinds';
import { parseAllDocuments } from 'yaml';
import { planInput } from './testing/plan-input.ts';
import { translateDocuments } from './testing/translate-documents.ts';
import { translateEndpointInput } from './testing/translate-endpoint-input.ts';

/** Steps into a resource; `[]` goes into each item of a list. */
type FieldPath = readonly string[];

/** Not in what is translated here, and the tests that show what they do. */
const SHOWN_ELSEWHERE: Readonly<Record<string, string>> = {
  'SftpEndpoint.hostKeys.': '../../operator/src/host-keys/resolve-host-keys.test.ts',
};

function* fieldsIn(schema: unknown, path: FieldPath): Generator<FieldPath> {
  if (!isRecord(schema)) return;
  const children = isRecord(schema.properties) ? Object.entries(schema.properties) : [];
  for (const [name, child] of children) yield* fieldsIn(child, [...path, name]);
  const within = isRecord(schema.items) && isRecord(schema.items.properties);
  if (within) yield* fieldsIn(schema.items, [...path, '[]']);
  if (children.length === 0 && !within) yield path;
}

/** Takes the field out wherever the value has it; whether it had it. */
function takeOut(value: unknown, [step, ...rest]: FieldPath): boolean {
  if (step === undefined) return false;
  if (step === '[]') return Array.isArray(value) && value.map((item) => takeOut(item, rest)).includes(true);
  if (!isRecord(value) || value[step] === undefined) return false;
  return rest.length > 0 ? takeOut(value[step], rest) : Reflect.deleteProperty(value, step);
}

interface Golden {
  readonly documents: readonly unknown[];
  readonly outcome: (documents: readonly unknown[]) => unknown;
}

const single = (translate: (document: never) => unknown) => (documents: readonly unknown[]) => documents.map((document) => translate(document as never));
const FOLDERS = [
  { folder: './translate/golden/', outcome: translateDocuments },
  { folder: './translate/golden-endpoint/', outcome: single(translateEndpointInput) },
  { folder: './workloads/golden/', outcome: single(planInput) },
];

const goldens: readonly Golden[] = FOLDERS.flatMap(({ folder, outcome }) => {
  const url = new URL(folder, import.meta.url);
  const inputs = readdirSync(url).filter((name) => name.endsWith('.in.yaml'));
  return inputs.map((name) => ({ documents: parseAllDocuments(readFileSync(new URL(name, url), 'utf8')).map((document) => document.toJS()), outcome }));
});

/** What comes out, as text; a refusal is an answer too. */
function answer({ outcome }: Golden, documents: readonly unknown[]): string {
  try {
    return JSON.stringify(outcome(documents));
  } catch (error) {
    return String(error);
  }
}

/** How many golden inputs have the field, and whether any of them gives something else without it. */
function trial(kind: string, field: FieldPath): { readonly found: number; readonly matters: boolean } {
  let found = 0;
  for (const golden of goldens) {
    const without = structuredClone(golden.documents);
    const mine = without.filter((document) => isRecord(document) && (document.kind ?? 'SftpEndpoint') === kind);
    if (!mine.map((document) => takeOut(document, ['spec', ...field])).includes(true)) continue;
    found++;
    if (answer(golden, without) !== answer(golden, golden.documents)) return { found, matters: true };
  }
  return { found, matters: false };
}

describe('every field of a spec', () => {
  for (const { kind, spec } of KINDS) {
    for (const field of fieldsIn(spec, [])) {
      const name = `${kind}.${field.join('.')}`;
      const elsewhere = Object.entries(SHOWN_ELSEWHERE).find(([prefix]) => name.startsWith(prefix));
      if (elsewhere !== undefined) {
        it(`${name} is named in the tests that show what it does`, () =>
          assert.match(readFileSync(new URL(elsewhere[1], import.meta.url), 'utf8'), new RegExp(`\\b${field.at(-1)}\\b`)));
        continue;
      }
      it(`${name} stands in a golden input, and without it something else comes out`, () => {
        const { found, matters } = trial(kind, field);
        assert.ok(found > 0, 'no golden input has it');
        assert.ok(matters, `${found} golden inputs have it, and none gives anything else without it`);
      });
    }
  }
});
