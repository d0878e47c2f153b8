import { setTimeout as sleep } from 'node:timers/promises';
import { CLOUD_EVENTS_JSON } from '@skiff/model/file-event';
import { uploadedInput } from '../../messaging/target-input.ts';
import type { Checks } from '../../support/checks.ts';
import { machineMs } from './clock.ts';
import { arrivalsOf } from './measure-latency.ts';
import { loadPerFile, readLoad } from './station-load.ts';
import { type Stations, type StationsOptions, startStations } from './stations.ts';

const EVENTS = 20_000;
const BATCH = 500;
const PATIENCE_MS = 120_000;

/** How fast a router empties a queue that has filled up while no router was there, to one HTTP target. */
export async function addRouterChecks(checks: Checks, options: StationsOptions = {}): Promise<void> {
  const stations = await startStations(options);
  try {
    process.stderr.write(`  a router and ${EVENTS} events that wait\n`);
    for (let sent = 0; sent < EVENTS; sent += BATCH) await stations.publisher.publish(messages(sent, BATCH), AbortSignal.timeout(30_000));
    await stations.startRouter();
    const before = await readLoad(stations, stations.processes);
    const times = await whenAllHaveCome(stations);
    const after = await readLoad(stations, stations.processes);
    const seconds = ((times.at(-1) ?? Number.NaN) - (times[0] ?? Number.NaN)) / 1000;
    // A service desk's morning after an outage: a backlog of an hour at 100 files a second is gone in 6 minutes.
    checks.add('router, deliveries to one HTTP target', times.length / seconds, '1/s', '>= 1000');
    const { cpuMs, othersCpuPercent } = loadPerFile(before, after, EVENTS);
    checks.add('router, CPU per delivery', cpuMs.get('router') ?? Number.NaN, 'ms');
    // What bounds it: the process near 100 % of a core, or all together at the machine's cores.
    for (const [name, milliseconds] of cpuMs) {
      if (name !== 'blob stand-in')
        checks.add(`router at full speed, CPU of ${name}`, (milliseconds * EVENTS * 100) / (after.atMs - before.atMs), '% of a core');
    }
    checks.add('router at full speed, CPU of everything else', othersCpuPercent, '% of a core');
  } finally {
    await stations.stop();
  }
}

function messages(from: number, count: number) {
  return Array.from({ length: count }, (_, index) => {
    const id = `e${from + index}`;
    const event = uploadedInput(id).event;
    const body = Buffer.from(JSON.stringify({ ...event, data: { ...event.data, path: `/in/${id}` } }));
    return { messageId: id, contentType: CLOUD_EVENTS_JSON, subject: event.type, properties: {}, body };
  });
}

/** When each event arrived first, sorted. @throws {Error} when some do not come. */
async function whenAllHaveCome(stations: Stations): Promise<readonly number[]> {
  for (const end = machineMs() + PATIENCE_MS; machineMs() < end; await sleep(250)) {
    if ((await stations.target.request('count')) !== EVENTS) continue;
    const { arrivals } = await arrivalsOf(stations);
    return arrivals.map(([, atMs]) => atMs).sort((a, b) => a - b);
  }
  throw new Error('not all events have come');
}
