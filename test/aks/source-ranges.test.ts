import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const dir = mkdtempSync(join(tmpdir(), 'skiff-source-ranges-'));
copyFileSync(join(import.meta.dirname, '../../deploy/aks/source-ranges.sh'), join(dir, 'source-ranges.sh'));
writeFileSync(join(dir, 'kubectl'), '#!/bin/sh\ncat "$(dirname "$0")/$2.json"\n', { mode: 0o755 });
after(() => rmSync(dir, { recursive: true }));

const ENDPOINTS = [
  { metadata: { namespace: 'sftp', name: 'behind' }, spec: { service: { clientAddress: 'Rewritten' }, allowedSourceRanges: ['10.40.17.0/26'] } },
  { metadata: { namespace: 'sftp', name: 'open' }, spec: {} },
  { metadata: { namespace: 'sftp', name: 'narrow' }, spec: { allowedSourceRanges: ['203.0.113.9'] } },
];

interface User {
  readonly endpoint?: string;
  readonly ranges?: readonly string[];
  readonly suspend?: boolean;
  readonly programmed?: 'True' | 'False';
}

function toObject({ endpoint = 'behind', ranges, suspend, programmed = 'True' }: User): unknown {
  return {
    metadata: { namespace: 'team', name: 'user' },
    spec: { endpointRef: { namespace: 'sftp', name: endpoint }, suspend, allowedSourceRanges: ranges },
    status: { conditions: [{ type: 'Programmed', status: programmed }] },
  };
}

/** What the script hands to Terraform: null is everybody, an empty list nobody. */
function unionOf(...users: readonly User[]): unknown {
  writeFileSync(join(dir, 'sftpendpoints.json'), JSON.stringify({ items: ENDPOINTS }));
  writeFileSync(join(dir, 'sftpusers.json'), JSON.stringify({ items: users.map(toObject) }));
  execFileSync(join(dir, 'source-ranges.sh'), { env: { ...process.env, PATH: `${dir}:${process.env.PATH}` }, stdio: 'pipe', timeout: 30_000 });
  const written: unknown = JSON.parse(readFileSync(join(dir, 'allowed-source-ranges.auto.tfvars.json'), 'utf8'));
  return Object(written).allowed_source_ranges;
}

describe('the union of source ranges', () => {
  it('has each range once, none within another, by its first address', () => {
    const one = { ranges: ['192.0.2.77/24', '192.0.2.7', '198.51.100.0/25'] };
    const other = { ranges: ['198.51.100.128/25', '192.0.2.7/32', '255.255.255.255'] };
    assert.deepEqual(unionOf(one, other), ['192.0.2.0/24', '198.51.100.0/25', '198.51.100.128/25', '255.255.255.255/32']);
  });

  it('takes the ranges of the endpoint for users without any', () => {
    assert.deepEqual(unionOf({ endpoint: 'narrow' }), ['203.0.113.9/32']);
  });

  it('is everybody where somebody may come from anywhere', () => {
    assert.equal(unionOf({ endpoint: 'open' }, { ranges: ['192.0.2.0/24'] }), null);
    assert.equal(unionOf({ endpoint: 'behind' }), null, "the endpoint's ranges are those of the firewall");
    assert.equal(unionOf({ ranges: ['0.0.0.0/0'] }), null);
  });

  it('is nobody, not everybody, where no user is left', () => {
    assert.deepEqual(unionOf(), []);
    assert.deepEqual(unionOf({ ranges: [] }, { ranges: ['2001:db8::/32'] }, { ranges: ['192.0.2.0/24'], suspend: true }), []);
  });

  it('is not widened by users who are not in force', () => {
    assert.deepEqual(unionOf({ endpoint: 'nowhere', programmed: 'False' }, { ranges: ['192.0.2.0/24'] }), ['192.0.2.0/24']);
  });
});
