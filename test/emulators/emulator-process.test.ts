import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

const LAUNCHER = `
  const [certificates, tokenService] = await Promise.all([import(process.argv[1]), import(process.argv[2])]);
  const dir = process.argv[3];
  const emulator = await tokenService.startTokenServiceProcess({ dir, certificates: await certificates.makeCertificates(dir), tenantId: 't', applications: [] });
  console.log(emulator.pid);
`;

test('an emulator ends when its launcher is killed with SIGKILL', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'skiff-launcher-'));
  const modules = ['certificates.ts', 'token-service.ts'].map((file) => new URL(file, import.meta.url).href);
  const launcher = spawn(process.execPath, ['--input-type=module', '-e', LAUNCHER, ...modules, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line]: unknown[] = await once(launcher.stdout, 'data');
  const pid = Number(String(line));
  assert.ok(isAlive(pid));
  launcher.kill('SIGKILL');
  for (let i = 0; i < 100 && isAlive(pid); i++) await delay(50);
  assert.equal(isAlive(pid), false);
  await rm(dir, { recursive: true });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
