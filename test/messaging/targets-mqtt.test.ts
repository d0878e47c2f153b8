import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createMqttTarget, MqttTargetError, type MqttTargetOptions } from '@skiff/messaging/mqtt-target';
import { Secret } from '@skiff/runtime/secret';
import { connectAsync, type IPublishPacket, type MqttClient } from 'mqtt';
import { type Certificates, makeCertificates } from '../emulators/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { type PrivateMosquitto, startPrivateMosquitto } from '../support/private-mosquitto.ts';
import { uploadedInput } from './target-input.ts';

const never = new AbortController().signal;
const login = { username: 'skiff', password: new Secret('p4ss word') };
let dir: string;
let certificates: Certificates;
let broker: PrivateMosquitto;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'skiff-mqtt-'));
  certificates = await makeCertificates(dir);
  broker = await startPrivateMosquitto(certificates);
});
after(async () => {
  await broker?.stop();
  await rm(dir, { recursive: true });
});

function target(more: Partial<MqttTargetOptions> = {}) {
  return createMqttTarget({ url: broker.url, topic: 'files/{data.username}', login, timeoutMs: 5000, addresses: { allow: ['127.0.0.0/8', '::1'] }, ...more });
}

/** An application that has subscribed to everything. */
async function subscribe(): Promise<{ readonly client: MqttClient; readonly packets: IPublishPacket[] }> {
  const client = await connectAsync(broker.anonymousUrl, { protocolVersion: 5 });
  const packets: IPublishPacket[] = [];
  client.on('message', (_topic, _payload, packet) => packets.push(packet));
  await client.subscribeAsync('#', { qos: 1 });
  return { client, packets };
}

describe('MQTT target', () => {
  it('publishes the event with QoS 1, its attributes as user properties and fields in the topic', async (t) => {
    const { client, packets } = await subscribe();
    const made = target({ topic: 'in/{data.username}/x{+data.path}' });
    t.after(() => Promise.all([client.endAsync(), made.close()]));
    const input = uploadedInput('skf-1', { username: 'a/+#%b', path: '/in/c+d.csv' });
    assert.deepEqual(await made.deliver(input, never), { kind: 'delivered', detail: 'acknowledged by the broker' });
    await eventually('it came', () => packets.length === 1);
    const [packet] = packets;
    assert.equal(packet?.topic, 'in/a%2F%2B%23%25b/x/in/c%2Bd.csv');
    assert.equal(packet?.qos, 1);
    assert.equal(packet?.properties?.contentType, 'application/cloudevents+json');
    assert.equal(packet?.properties?.userProperties?.type, 'dev.skiff.file.uploaded');
    assert.equal(packet?.properties?.userProperties?.id, 'skf-1');
    assert.deepEqual(JSON.parse(String(packet?.payload)), input.event);
  });

  it('counts a broker without subscribers as success, and connects anonymously and by TLS', async (t) => {
    const anonymous = createMqttTarget({ url: broker.anonymousUrl, topic: 't', timeoutMs: 5000, addresses: { allow: ['127.0.0.1'] } });
    const secure = target({ url: broker.tlsUrl, tls: { ca: certificates.ca } });
    const doubting = target({ url: broker.tlsUrl });
    t.after(() => Promise.all([anonymous.close(), secure.close(), doubting.close()]));
    assert.equal((await anonymous.deliver(uploadedInput('e'), never)).kind, 'delivered');
    assert.equal((await secure.deliver(uploadedInput('e'), never)).kind, 'delivered');
    const outcome = await doubting.deliver(uploadedInput('e'), never);
    assert.ok(outcome.kind === 'retry' && /certificate/i.test(outcome.reason), JSON.stringify(outcome));
  });

  it('may try again after a wrong password and while nobody listens; not at a refused address or without its field', async (t) => {
    const wrong = target({ login: { username: 'skiff', password: new Secret('wr0ng') } });
    const nobody = target({ url: 'mqtt://127.0.0.1:1' });
    const named = target({ url: broker.url.replace('127.0.0.1', 'localhost'), addresses: { allow: [] } });
    const refused = target({ addresses: { allow: [] } });
    const lacking = target({ topic: '{data.sourcePath}' });
    t.after(() => Promise.all([wrong, nobody, named, refused, lacking].map((made) => made.close())));
    for (const made of [wrong, nobody, named]) {
      const outcome = await made.deliver(uploadedInput('e'), never);
      assert.equal(outcome.kind, 'retry', JSON.stringify(outcome));
      assert.doesNotMatch(JSON.stringify(outcome), /wr0ng/);
    }
    for (const made of [refused, lacking]) {
      const outcome = await made.deliver(uploadedInput('e'), never);
      assert.equal(outcome.kind, 'rejected', JSON.stringify(outcome));
    }
    assert.throws(() => target({ topic: 'a/+/b' }), MqttTargetError);
  });

  it('fails while the broker is down and works again when it is back', async (t) => {
    const made = target();
    t.after(() => made.close());
    assert.equal((await made.deliver(uploadedInput('e1'), never)).kind, 'delivered');
    await broker.kill();
    assert.equal((await made.deliver(uploadedInput('e2'), never)).kind, 'retry');
    await broker.start();
    assert.equal((await made.deliver(uploadedInput('e2'), never)).kind, 'delivered');
  });

  it('acknowledges at least 1,000 deliveries per second, 32 at a time', async (t) => {
    const made = target();
    t.after(() => made.close());
    await made.deliver(uploadedInput('warm'), never);
    let sent = 0;
    const begun = performance.now();
    await Promise.all(
      Array.from({ length: 32 }, async () => {
        while (sent < 2000) {
          sent += 1;
          const outcome = await made.deliver(uploadedInput(`e${sent}`), never);
          assert.equal(outcome.kind, 'delivered', JSON.stringify(outcome));
        }
      }),
    );
    const perSecond = sent / ((performance.now() - begun) / 1000);
    t.diagnostic(`${perSecond.toFixed(0)} deliveries/s`);
    assert.ok(perSecond >= 1000, `${perSecond}`);
  });
});
