import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { type ServerRig, startServerRig } from './server-rig.ts';

const run = promisify(execFile);

let rig: ServerRig;
before(async () => {
  rig = await startServerRig();
});
after(() => rig.stop());

/** PuTTY's own SSH and SFTP, from which those of WinSCP and FileZilla come. */
async function psftp(credential: readonly string[], batch: readonly string[]): Promise<string> {
  const { host, port, username } = rig.byKey;
  const script = join(rig.dir, 'psftp.batch');
  await writeFile(script, `${batch.join('\n')}\n`);
  const args = ['-batch', '-hostkey', await fingerprint(), '-P', String(port), '-l', username, ...credential, '-b', script, host];
  const { stdout } = await run('psftp', args, { env: { ...process.env, HOME: rig.dir }, timeout: 60_000 });
  return stdout;
}

/** As a partner is told it. */
async function fingerprint(): Promise<string> {
  const { host, port } = rig.byKey;
  const scanned = join(rig.dir, 'scanned');
  await writeFile(scanned, (await run('ssh-keyscan', ['-p', String(port), host], { timeout: 30_000 })).stdout);
  return (await run('ssh-keygen', ['-lf', scanned], { timeout: 30_000 })).stdout.split(' ')[1] ?? '';
}

async function puttyKey(): Promise<string> {
  const { credential } = rig.byKey;
  assert.ok('keyFile' in credential);
  const file = join(rig.dir, 'id_ann.ppk');
  await run('puttygen', [credential.keyFile, '-O', 'private', '-o', file], { timeout: 30_000 });
  return file;
}

describe("PuTTY's client", () => {
  it('sends, renames, lists, gets and removes files, by key', async () => {
    const content = randomBytes(3 * 1024 * 1024 + 5);
    const [from, back] = [join(rig.dir, 'from'), join(rig.dir, 'back')];
    await writeFile(from, content);
    const said = await psftp(
      ['-i', await puttyKey()],
      ['mkdir in', `put ${from} in/one`, 'mv in/one in/two', 'ls in', `get in/two ${back}`, 'rm in/two', 'rmdir in'],
    );
    assert.match(said, /3145733 .* two$/m);
    assert.deepEqual(await readFile(back), content);
  });

  it('logs in by password', async () => {
    const { credential } = rig.byPassword;
    assert.ok('password' in credential);
    await mkdir(join(rig.dir, 'putty'), { recursive: true });
    const file = join(rig.dir, 'putty/password');
    await writeFile(file, `${credential.password}\n`);
    assert.match(await psftp(['-pwfile', file], ['pwd']), /Remote directory is \/$/m);
  });
});
