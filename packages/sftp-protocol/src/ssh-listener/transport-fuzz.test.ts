import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { OpensshClient } from '../testing/openssh-client.ts';
import { TestClient } from '../testing/ssh2-client.ts';
import { newKey, startTestListener } from '../testing/test-listener.ts';

const CONNECTIONS = 300;
const TRANSFERS = 9;

test(`${CONNECTIONS} connections with mutated first bytes leave the listener as it was`, async (context) => {
  const seed = Number(process.hrtime.bigint() & 0x7fffffffn);
  context.diagnostic(`seed ${seed}`);
  let state = seed | 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  await using server = await startTestListener({ limits: { identificationTimeoutMs: 200, loginGraceMs: 400 } });
  using witness = await new TestClient(server.listener.port).login();
  const kexInit = Buffer.alloc(400, 'a');
  kexInit.writeUInt32BE(396, 0);
  kexInit.writeUInt8(6, 4);
  kexInit.writeUInt8(20, 5);
  const seedBytes = Buffer.concat([Buffer.from('SSH-2.0-OpenSSH_9.9\r\n'), kexInit, Buffer.alloc(100, 3)]);
  for (let count = 0; count < CONNECTIONS; count += 50) {
    const batch = Array.from({ length: 50 }, () => {
      const bytes = Buffer.from(seedBytes);
      for (let change = random(6); change >= 0; change--) bytes[random(bytes.length)] = random(256);
      return sendAndWait(server.listener.port, bytes.subarray(0, 1 + random(bytes.length)));
    });
    await Promise.all(batch);
  }
  await witness.sftp();
  using next = await new TestClient(server.listener.port).login();
  assert.equal(next.isClosed, false);
});

function sendAndWait(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('error', () => {});
    socket.resume();
    socket.on('close', () => resolve());
  });
}

test('one flipped bit anywhere in a transfer ends the connection and no wrong byte is stored', async () => {
  const key = newKey();
  await using server = await startTestListener({ keys: [key.public.split(' ')[1] ?? ''] });
  const content = Buffer.alloc(500_000, 'content');
  for (let count = 0; count < TRANSFERS; count++) {
    // Past the key exchange and the login, which take some 4 KiB.
    const flipAt = 6000 + count * 50_000;
    const sockets = new Set<Socket>();
    const proxy = createServer((inside) => {
      const outside = connect(server.listener.port, '127.0.0.1');
      let seen = 0;
      for (const socket of [inside, outside]) {
        sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          inside.destroy();
          outside.destroy();
        });
      }
      inside.on('data', (data) => {
        const bytes = Buffer.from(data);
        const at = flipAt - seen;
        if (at >= 0 && at < bytes.length) bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
        seen += bytes.length;
        outside.write(bytes);
      });
      outside.pipe(inside);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const address = proxy.address();
    assert.ok(address !== null && typeof address === 'object');
    using client = new OpensshClient(address.port);
    const cipher = ['chacha20-poly1305@openssh.com', 'aes128-gcm@openssh.com', 'aes128-ctr'][count % 3];
    const { status } = await client.sftpWithKey(key.private, `put ${client.file('local', content)} /f${count}\n`, [`-oCiphers=${cipher}`]);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => proxy.close(resolve));
    assert.notEqual(status, 0, `flip at ${flipAt}`);
    const stored = server.backend.content(`/f${count}`) ?? Buffer.alloc(0);
    assert.ok(stored.equals(content.subarray(0, stored.length)));
  }
});
