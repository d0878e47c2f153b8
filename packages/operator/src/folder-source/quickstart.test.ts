import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { endpointKeyOf } from '@skiff/policy/endpoint-ref';
import { translateEndpoint } from '@skiff/policy/translate-endpoint';
import { parseManifests } from './parse-manifests.ts';

const QUICKSTART = new URL('../../../../deploy/quickstart/', import.meta.url);

test('the quickstart is valid, and its users and its route belong to its endpoint', async () => {
  const objects = [];
  for (const name of await readdir(QUICKSTART)) {
    const parsed = await parseManifests(await readFile(new URL(name, QUICKSTART), 'utf8'), new AbortController().signal);
    assert.deepEqual([name, parsed.problems, parsed.ignoredKinds], [name, [], []]);
    objects.push(...parsed.objects.values());
  }
  const resources = objects.flatMap((object) => (object.kind === 'resource' ? [object.resource] : []));
  assert.deepEqual(resources.map(({ kind }) => kind).sort(), ['EventRoute', 'SftpEndpoint', 'SftpUser', 'SftpUser']);
  for (const resource of resources) {
    if (resource.kind === 'SftpEndpoint') assert.equal(translateEndpoint(resource).verdict.refused, undefined);
    else assert.equal(endpointKeyOf(resource), 'default/partners');
    const ref = resource.kind === 'SftpUser' ? resource.spec.password?.hashSecretRef : undefined;
    const secret = objects.flatMap((object) => (object.kind === 'secret' ? [object.secret] : [])).find(({ name }) => name === ref?.name);
    if (ref !== undefined) assert.match(secret?.values.get(ref.key)?.reveal() ?? '', /^\$argon2id\$/);
  }
});
