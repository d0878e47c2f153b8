import assert from 'node:assert/strict';
import { it } from 'node:test';
import { uploadedInput } from '../messaging/target-input.ts';
import { runSkiff } from '../support/run-skiff.ts';
import { type RouterRig, route, startRouterRig, target } from './router-rig.ts';

const skiff = (rig: RouterRig, args: readonly string[], input = '') => runSkiff(args, { SKIFF_DATABASE_URL: rig.databaseUrl }, input);

it('explains which routes would take an event, and delivers nothing', async (t) => {
  const rig = await startRouterRig(t, (application) => [
    route('csv', [target(application, 'app')], { paths: ['/in/*.csv'] }),
    route('big', [target(application, 'archive')], { expression: 'event.data.sourcePath == "/x"', usernames: ['bert'] }),
  ]);
  const event = JSON.stringify(uploadedInput('e1').event);
  const { code, stdout, stderr } = await skiff(rig, ['routes', 'explain', '--event', '-'], event);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /message: dev\.skiff\.file\.uploaded/);
  assert.match(stdout, /team\/csv: takes it, to app/);
  assert.match(stdout, /team\/big: does not take it\n {2}- match\.usernames does not list anna\n {2}- match\.expression cannot be evaluated/);
  assert.match(stdout, /1 of 2 routes take it\n$/);
  const foreign = await skiff(rig, ['routes', 'explain', '--event', '-', '--route', 'team/csv', '-o', 'json'], '{"order":7}');
  assert.equal(JSON.parse(foreign.stdout).taken, false);
  const poison = await skiff(rig, ['routes', 'explain', '--event', '-'], '\0');
  assert.deepEqual([poison.code, poison.stdout], [1, '']);
  assert.match(poison.stderr, /NotAnEvent/);
  assert.deepEqual(rig.application.calls, []);
});

it('lists deliveries page by page, those that died at the same moment included', async (t) => {
  const rig = await startRouterRig(t, () => []);
  const ids = Array.from({ length: 5 }, (_, index) => `e${index}`);
  const key = { endpointId: rig.endpointId, route: 'team/r', target: 'app' };
  await rig.deliveries.record(ids.map((eventId) => ({ ...key, eventId, state: 'dead', attempt: 1, reason: 'HTTP 500' })));
  const seen: string[] = [];
  for (let next: readonly string[] = []; ; ) {
    const { code, stdout, stderr } = await skiff(rig, ['deliveries', 'list', '--limit', '2', '-o', 'json', ...next]);
    assert.equal(code, 0, stderr);
    seen.push(...stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).eventId])));
    const position = /--after (\S+)\n$/.exec(stderr)?.[1];
    if (position === undefined) break;
    next = ['--after', position];
  }
  assert.deepEqual(seen.toSorted(), ids);
});

it('says what is wrong with a command, and how it is to be called', async (t) => {
  const rig = await startRouterRig(t, () => []);
  for (const [args, code, said] of [
    [['deliveries'], 2, /list \| replay/],
    [['deliveries', 'replay'], 2, /--route NAMESPACE\/NAME, --event ID or --all/],
    [['deliveries', 'replay', '--all', '--state', 'waiting'], 2, /only dead/],
    [['deliveries', 'list', '--state', 'lost'], 2, /waiting, succeeded, dead/],
    [['deliveries', 'list', '--limit', '0'], 2, /1 to 1000/],
    [['deliveries', 'list', '--after', 'elsewhere'], 2, /page before/],
    [['deliveries', 'list', '-o', 'yaml'], 2, /--output is json/],
    [['deliveries', 'list', '--what'], 2, /--what/],
    [['deliveries', 'list', '--endpoint', 'team/none'], 1, /no endpoint team\/none, but team\/main/],
    [['routes', 'explain'], 2, /--event FILE/],
    [['routes', 'explain', '--event', '/nowhere'], 1, /ENOENT/],
  ] as const) {
    const ran = await skiff(rig, args);
    assert.deepEqual([ran.code, ran.stdout], [code, ''], `${args.join(' ')}: ${ran.stderr}`);
    assert.match(ran.stderr, said);
  }
  const away = await runSkiff(['deliveries', 'list'], { SKIFF_DATABASE_URL: 'mysql://skiff:x@127.0.0.1:1/skiff' });
  assert.equal(away.code, 1);
  assert.match(away.stderr, /the database cannot be used \(unavailable\)/);
  const help = await skiff(rig, ['deliveries', '--help']);
  assert.match(help.stdout, /skiff deliveries replay .*due again/);
});
