import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { COMMAND_HELP, HELP } from '@skiff/skiff/help';
import { readValues } from '../../tools/chart.ts';
import { commandsOf, documents, ROOT } from './documents.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const commands = documents().map((document) => ({ path: document.path, text: commandsOf(document) }));
const notes = { path: 'charts/skiff/templates/NOTES.txt', text: read('charts/skiff/templates/NOTES.txt') };
const terraform = globSync('deploy/aks/*.tf', { cwd: ROOT }).map(read).join('\n');

/** Every first group of the pattern, with where it was found. */
function found(pattern: RegExp, within = commands): readonly { readonly path: string; readonly name: string }[] {
  const all = within.flatMap(({ path, text }) => [...text.matchAll(pattern)].map(([, name = '']) => ({ path, name })));
  assert.ok(all.length > 0, `nothing matches ${pattern.source}`);
  return all;
}

describe('commands in the documents', () => {
  it('name targets of the Makefile', () => {
    const targets = [...read('Makefile').matchAll(/^([a-z0-9-]+):/gm)].map(([, target]) => target);
    for (const { path, name } of found(/\bmake ([a-z0-9-]+)/g)) assert.ok(targets.includes(name), `${path}: make ${name}`);
  });

  it('set values that the chart has', () => {
    const values = readValues(read('charts/skiff/values.yaml')).map((value) => value.path);
    for (const { path, name } of found(/--set(?:-file)? '?([a-zA-Z.]+)=/g, [...commands, notes])) assert.ok(values.includes(name), `${path}: --set ${name}`);
  });

  it('ask for outputs that Terraform has, all of them', () => {
    const outputs = [...terraform.matchAll(/^output "(\w+)"/gm)].map(([, name = '']) => name);
    const asked = new Set(found(/terraform output -raw (\w+)/g).map(({ name }) => name));
    assert.deepEqual([...asked].sort(), outputs.toSorted());
  });

  it('set variables that Terraform has', () => {
    const variables = [...terraform.matchAll(/^variable "(\w+)"/gm)].map(([, name = '']) => name);
    const aks = commands.filter(({ path }) => path === 'deploy/aks/README.md');
    for (const { path, name } of found(/^(\w+) += /gm, aks)) assert.ok(variables.includes(name), `${path}: ${name}`);
    const required = [...terraform.matchAll(/^variable "(\w+)" \{\n((?: .*\n|\n)*)\}/gm)].filter(([, , body = '']) => !body.includes('default'));
    const given = found(/^(\w+) += /gm, aks).map(({ name }) => name);
    for (const [, name = ''] of required) assert.ok(given.includes(name), `${name} has no default and is not among the steps`);
  });

  it('call the program as its help says', () => {
    const modes = [...HELP.matchAll(/^ {2}skiff ([a-z-]+)/gm)].map(([, mode]) => mode);
    const help = `${HELP}${Object.values(COMMAND_HELP).join('\n')}`;
    for (const { path, name } of found(/(?:^|bin\/|-- |^\s*)skiff ((?:[a-z-]+|--[a-z-]+)[^\n|;&<]*)/gm)) {
      const [mode = '', ...rest] = name.split(' ');
      if (mode.startsWith('--')) continue;
      assert.ok(modes.includes(mode), `${path}: skiff ${name}`);
      for (const option of rest.filter((word) => /^--[a-z]/.test(word) && word !== '--help')) assert.ok(help.includes(option), `${path}: skiff ${name}`);
    }
  });
});

describe('the Terraform of deploy/aks', () => {
  it('federates the ServiceAccounts that the chart and the operator make', () => {
    const subjects = [...terraform.matchAll(/"system:serviceaccount:([^"]+)"/g)].map(([, subject]) => subject);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: these are Terraform's.
    assert.deepEqual(subjects, ['${var.operator_namespace}:skiff', '${endpoint.namespace}:skiff-${endpoint.name}']);
  });

  it('hands the chart values that it has', () => {
    const values = readValues(read('charts/skiff/values.yaml')).map((value) => value.path);
    const body = /^output "helm_values" \{[\s\S]*?yamlencode\(\{([\s\S]*?)^ {2}\}\)/m.exec(terraform)?.[1] ?? '';
    const groups = [...body.matchAll(/^ {4}(\w+) *= \{([\s\S]*?)\}$/gm)].flatMap(([, group, inner = '']) =>
      [...inner.matchAll(/(?:^ {6}|^ )(\w+) *=/gm)].map(([, key]) => `${group}.${key}`),
    );
    assert.deepEqual(groups, ['identity.clientId', 'identity.tenantId', 'namespaces.endpoints']);
    for (const path of groups) assert.ok(values.includes(path), path);
  });
});
