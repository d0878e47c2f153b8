import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType } from '../codec/packet-type.ts';
import { SftpStatus } from '../sftp-error.ts';
import { OpensshClient } from '../testing/openssh-client.ts';
import { frame, statusOf } from '../testing/sftp-frames.ts';
import { TestClient } from '../testing/ssh2-client.ts';
import { newKey, startTestListener } from '../testing/test-listener.ts';

for (const [claim, bytes] of Object.entries({
  'a frame of length 0': Buffer.from([0, 0, 0, 0]),
  'a frame of length 0xffffffff': Buffer.from([255, 255, 255, 255, 5, 0, 0, 0, 1]),
  'a frame of length 0x80000000': Buffer.from([128, 0, 0, 0, 5, 0, 0, 0, 1]),
})) {
  test(`${claim} closes its channel, while another of the same connection goes on`, async () => {
    await using server = await startTestListener();
    using client = await new TestClient(server.listener.port).login();
    const good = await (await client.sftp()).initialised();
    const bad = await (await client.sftp()).initialised();
    bad.send(bytes.length < 5 ? Buffer.concat([bytes, Buffer.alloc(8)]) : bytes);
    await bad.closed;
    good.send(frame(PacketType.realpath, 7, '.'));
    assert.equal((await good.packet())?.type, PacketType.name);
    assert.equal(client.isClosed, false);
  });
}

test('truncated strings and unknown handles are answered and the channel goes on', async () => {
  await using server = await startTestListener();
  using client = await new TestClient(server.listener.port).login();
  const stream = await (await client.sftp()).initialised();
  stream.send(frame(PacketType.read, 1, 0xffffff), frame(PacketType.read, 2, Buffer.from('none'), 0n, 10), frame(PacketType.stat, 3, '/'));
  const replies = [await stream.packet(), await stream.packet(), await stream.packet()].toSorted((a, b) => (a?.id ?? 0) - (b?.id ?? 0));
  assert.deepEqual(replies.map(statusOf), [SftpStatus.badMessage, SftpStatus.failure, undefined]);
});

test('the eleventh channel is refused; a closed one makes room', async () => {
  await using server = await startTestListener();
  using client = await new TestClient(server.listener.port).login();
  const streams = [];
  for (let count = 0; count < 10; count++) streams.push(await client.sftp());
  await assert.rejects(client.sftp(), /open failure/i);
  streams[0]?.channel.end();
  await streams[0]?.closed;
  await client.sftp();
});

test('a client that never reads costs a bounded queue and holds up nobody else', async () => {
  await using server = await startTestListener();
  server.backend.put('/f', Buffer.alloc(8 << 20));
  using client = await new TestClient(server.listener.port).login();
  const greedy = await (await client.sftp()).initialised();
  greedy.send(frame(PacketType.open, 1, '/f', 1, 0));
  const handle = (await greedy.packet())?.body.subarray(4) ?? Buffer.alloc(0);
  greedy.channel.pause();
  const memory = process.memoryUsage().rss;
  const request = frame(PacketType.read, 2, handle, 0n, 0xffffffff);
  greedy.send(Buffer.concat(Array.from({ length: 20_000 }, () => request)));
  using other = await new TestClient(server.listener.port).login();
  const good = await (await other.sftp()).initialised();
  for (let count = 0; count < 20; count++) {
    good.send(frame(PacketType.stat, count, '/'));
    assert.equal((await good.packet())?.type, PacketType.attrs);
  }
  assert.ok(process.memoryUsage().rss - memory < 48 * 1024 * 1024);
});

test('exec, shell, pty, forwarding, agent and X11 are refused', async () => {
  const key = newKey();
  await using server = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''] });
  using client = new OpensshClient(server.listener.port);
  assert.match((await client.ssh(key.private, [], ['id'])).output, /exec request failed/);
  assert.match((await client.ssh(key.private, [])).output, /shell request failed/);
  assert.match((await client.ssh(key.private, ['-tt'])).output, /PTY allocation request failed/);
  assert.match((await client.ssh(key.private, ['-A', '-oSetEnv=A=b'], ['id'])).output, /exec request failed/);
  assert.match((await client.ssh(key.private, ['-W', '127.0.0.1:1'])).output, /administratively prohibited/);
  assert.match((await client.ssh(key.private, ['-s'], ['other'])).output, /subsystem request failed/);
  assert.match((await client.ssh(key.private, ['-N', '-oExitOnForwardFailure=yes', '-R', '0:127.0.0.1:1'])).output, /remote port forwarding failed/);
});

test('the text of a disconnect reaches the user', async () => {
  const key = newKey();
  await using server = await startTestListener({
    keys: [key.public.split(' ')[1] ?? ''],
    openSession: (_identity, connection) => {
      connection.disconnect('your access was withdrawn');
      return { backend: server.backend };
    },
  });
  using client = new OpensshClient(server.listener.port);
  const { status, output } = await client.sftpWithKey(key.private, 'pwd\n');
  assert.equal(status, 255);
  assert.match(output, /your access was withdrawn/);
});

test('closing lets a busy connection finish and ends one that stays idle', async () => {
  await using server = await startTestListener();
  using busy = await new TestClient(server.listener.port).login();
  using idle = await new TestClient(server.listener.port).login();
  const stream = await (await busy.sftp()).initialised();
  stream.send(frame(PacketType.open, 1, '/f', 10, 0));
  const handle = (await stream.packet())?.body.subarray(4) ?? Buffer.alloc(0);
  assert.equal(server.listener.connections.length, 2);
  const closed = server.listener.close({ graceMs: 10_000 });
  await idle.closed;
  assert.equal(busy.isClosed, false);
  stream.send(frame(PacketType.write, 2, handle, 0n, Buffer.from('last words')), frame(PacketType.close, 3, handle));
  assert.equal(statusOf(await stream.packet()), SftpStatus.ok);
  assert.equal(statusOf(await stream.packet()), SftpStatus.ok);
  await closed;
  await busy.closed;
  assert.equal(server.backend.content('/f')?.toString(), 'last words');
});

test('closing lets a client go on that sends small files with pauses between them', async () => {
  await using server = await startTestListener();
  using client = await new TestClient(server.listener.port).login();
  const stream = await (await client.sftp()).initialised();
  const closed = server.listener.close({ graceMs: 20_000 });
  for (let file = 0; file < 6; file++) {
    stream.send(frame(PacketType.open, 2 * file, `/${file}`, 10, 0));
    const handle = (await stream.packet())?.body.subarray(4) ?? Buffer.alloc(0);
    stream.send(frame(PacketType.close, 2 * file + 1, handle));
    assert.equal(statusOf(await stream.packet()), SftpStatus.ok);
    await new Promise((resolve) => setTimeout(resolve, 600));
  }
  assert.equal(client.isClosed, false);
  await closed;
  assert.equal(client.isClosed, true);
});

test('closing lets a client end by itself between two files and after its last', async () => {
  await using server = await startTestListener();
  using client = await new TestClient(server.listener.port).login();
  const stream = await (await client.sftp()).initialised();
  stream.send(frame(PacketType.open, 1, '/first', 10, 0));
  const handle = (await stream.packet())?.body.subarray(4) ?? Buffer.alloc(0);
  const closed = server.listener.close({ graceMs: 10_000 });
  stream.send(frame(PacketType.close, 2, handle));
  assert.equal(statusOf(await stream.packet()), SftpStatus.ok);
  // The client reads its next file meanwhile, on a busy machine.
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(client.isClosed, false);
  stream.send(frame(PacketType.open, 3, '/second', 10, 0));
  assert.equal((await stream.packet())?.type, PacketType.handle);
  client.client.end();
  await closed;
});
