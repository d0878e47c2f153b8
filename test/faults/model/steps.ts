import { permitted, type Rules, setRecovery, setRow, setWriter, type World, write } from './world.ts';

export interface Step {
  readonly name: string;
  readonly next: World;
}

const MAX_TRIES = 2;

/** Everything that could happen next. */
export function steps(world: World, rules: Rules): readonly Step[] {
  const next: Step[] = [];
  for (const id of Object.keys(world.writers)) next.push(...writerSteps(world, rules, id), ...recoverySteps(world, rules, id));
  for (const [index, request] of world.network.entries()) {
    const arrived = write({ ...world, network: world.network.toSpliced(index, 1) }, request);
    const waits = world.writers[request.id];
    const answered = waits?.alive === true && waits.step === 'sent' && waits.tries === request.tryOf;
    next.push({
      name: `${request.id} lands: ${arrived.answer}`,
      next: answered ? setWriter(arrived.world, request.id, { step: 'answered', answer: arrived.answer }) : arrived.world,
    });
  }
  if (world.outside > 0) next.push(...outsideSteps({ ...world, outside: world.outside - 1 }));
  return next;
}

/** Outside tools delete the blob (an application that has taken the file) or replace it. */
function outsideSteps(world: World): readonly Step[] {
  const etags = world.etags + 1;
  const replaced: Step = { name: 'an outside tool writes', next: { ...world, blob: { id: 'outside', etag: etags }, etags, staged: [] } };
  return world.blob === null ? [replaced] : [replaced, { name: 'an outside tool deletes', next: { ...world, blob: null } }];
}

function writerSteps(world: World, rules: Rules, id: string): readonly Step[] {
  const writer = world.writers[id];
  const row = world.rows[id];
  if (writer === undefined || row === undefined || !writer.alive || writer.step === 'done') return [];
  const next: Step[] = [];
  const add = (name: string, world_: World) => next.push({ name: `${id} ${name}`, next: world_ });
  const present = world.blob?.etag ?? null;
  if (world.crashes > 0) add('crashes', setWriter({ ...world, crashes: world.crashes - 1 }, id, { alive: false }));
  switch (writer.step) {
    case 'idle': {
      const displaced = withoutParked(world);
      if (displaced.lock !== null && rules.lock) break;
      const began = { state: writer.single ? 'committing' : 'open', epoch: 1, owner: 'writer', prior: present, everAbsent: present === null } as const;
      const sequences = displaced.sequences + (writer.single ? 1 : 0);
      add(
        'begins',
        setWriter(setRow({ ...displaced, lock: id, sequences }, id, { ...began, sequence: sequences }), id, {
          step: writer.single ? 'committing' : 'opened',
          epoch: 1,
          prior: present,
        }),
      );
      break;
    }
    case 'opened':
      add('stages', setWriter({ ...world, staged: [...world.staged, id] }, id, { step: 'staged' }));
      break;
    case 'staged': {
      if (!permitted(world, rules, { id, epoch: writer.epoch, step: 'committing' })) {
        add('is told that it was displaced', setWriter(world, id, { step: 'done' }));
        break;
      }
      const sequences = world.sequences + 1;
      add('closes', setWriter(setRow({ ...world, sequences }, id, { state: 'committing', sequence: sequences }), id, { step: 'committing' }));
      break;
    }
    case 'committing':
      add(
        'sends',
        setWriter({ ...world, network: [...world.network, { id, single: writer.single, prior: writer.prior, tryOf: writer.tries + 1 }] }, id, {
          step: 'sent',
          tries: writer.tries + 1,
        }),
      );
      break;
    case 'sent':
      // No answer in time: once more, or give up by parking.
      if (writer.tries < MAX_TRIES) add('sends again', setWriter(world, id, { step: 'committing' }));
      add('parks', setWriter(parked(world, rules, id, writer.epoch), id, { step: 'done' }));
      break;
    case 'answered':
      next.push(...afterAnswer(world, rules, id));
      break;
  }
  return next;
}

/** A parked upload that has not been closed gives way to another writer. */
function withoutParked(world: World): World {
  const holder = world.lock === null ? undefined : world.rows[world.lock];
  if (world.lock === null || holder?.state !== 'open' || holder.owner !== null) return world;
  return setRow({ ...world, lock: null }, world.lock, { state: 'aborted', epoch: holder.epoch + 1 });
}

function parked(world: World, rules: Rules, id: string, epoch: number): World {
  return permitted(world, rules, { id, epoch, step: 'park' }) ? setRow(world, id, { owner: null }) : world;
}

function afterAnswer(world: World, rules: Rules, id: string): readonly Step[] {
  const writer = world.writers[id];
  const row = world.rows[id];
  if (writer === undefined || row === undefined) return [];
  const ok = writer.answer === 'ok' || (rules.ownId && world.blob?.id === id);
  if (ok) return [{ name: `${id} records`, next: record(world, rules, id, writer.epoch) }];
  if (writer.answer === 'conflict') {
    if (!permitted(world, rules, { id, epoch: writer.epoch, step: 'setPriorEtag' }))
      return [{ name: `${id} is displaced`, next: setWriter(world, id, { step: 'done' }) }];
    if (writer.tries < MAX_TRIES) {
      const prior = world.blob?.etag ?? null;
      return [
        {
          name: `${id} takes the present version as the one to replace`,
          next: setWriter(setRow(world, id, { prior, everAbsent: row.everAbsent || prior === null }), id, { prior, step: 'committing' }),
        },
      ];
    }
  }
  return [
    {
      name: `${id} aborts`,
      next: setWriter(abort(world, rules, { id, epoch: writer.epoch, lookAgain: world.network.some((request) => request.id === id) }), id, { step: 'done' }),
    },
  ];
}

function record(world: World, rules: Rules, id: string, epoch: number): World {
  const row = world.rows[id];
  if (row === undefined) return world;
  const mine = permitted(world, rules, { id, epoch, step: 'committed' });
  const done = mine ? committed(world, id) : world;
  const acknowledge = mine || !rules.rowBeforeAnswer;
  return setWriter(acknowledge ? { ...done, acknowledged: [...done.acknowledged, id] } : done, id, { step: 'done' });
}

function committed(world: World, id: string): World {
  const row = world.rows[id];
  if (row === undefined || row.state === 'committed') return world;
  return setRow({ ...world, lock: world.lock === id ? null : world.lock, events: [...world.events, { id, sequence: row.sequence }] }, id, {
    state: 'committed',
    lookAgain: false,
  });
}

function abort(world: World, rules: Rules, call: { readonly id: string; readonly epoch: number; readonly lookAgain: boolean }): World {
  if (!permitted(world, rules, { ...call, step: 'abort' })) return world;
  return setRow({ ...world, lock: world.lock === call.id ? null : world.lock }, call.id, { state: 'aborted', lookAgain: call.lookAgain && rules.lookAgain });
}

/**
 * Recovery may take any row at any time: that its owner is alive is never what keeps the promises. (Leases only keep it from
 * bothering living uploads.)
 */
function recoverySteps(world: World, rules: Rules, id: string): readonly Step[] {
  const row = world.rows[id];
  const recovery = world.recoveries[id];
  const writer = world.writers[id];
  if (row === undefined || recovery === undefined || writer === undefined) return [];
  const next: Step[] = [];
  const add = (name: string, world_: World) => next.push({ name: `recovery of ${id} ${name}`, next: world_ });
  if (recovery.step === 'idle') {
    if (row.state === 'open' && row.owner !== null) add('parks it', setRow(world, id, { owner: null }));
    if (row.state === 'committing' && row.owner !== 'recovery') {
      add('adopts it', setRecovery(setRow(world, id, { owner: 'recovery', epoch: row.epoch + 1 }), id, { step: 'adopted', epoch: row.epoch + 1 }));
    }
    // A version that landed after the row had been given up: under the lock again, with a fresh sequence.
    const free = withoutParked(world);
    if (row.state === 'aborted' && row.lookAgain && free.lock === null && world.blob?.id === id) {
      const sequences = world.sequences + 1;
      const revived = setRow({ ...free, lock: id, sequences }, id, { state: 'committing', owner: 'recovery', epoch: row.epoch + 1, sequence: sequences });
      add('finds it landed late', setRecovery(revived, id, { step: 'adopted', epoch: row.epoch + 1 }));
    }
    return next;
  }
  if (recovery.step === 'landed') {
    const mine = permitted(world, rules, { id, epoch: recovery.epoch, step: 'committed' });
    add('records', setRecovery(mine ? committed(world, id) : world, id, { step: 'idle' }));
    return next;
  }
  if (recovery.step === 'hopeless') {
    // A request that names a version which is gone can never land; the fence has seen to that.
    add('aborts', setRecovery(abort(world, rules, { id, epoch: recovery.epoch, lookAgain: row.everAbsent }), id, { step: 'idle' }));
    return next;
  }
  if (world.blob?.id === id) add('sees the id', setRecovery(world, id, { step: 'landed' }));
  else if (!writer.single) {
    const { world: after, answer } = write(world, { id, single: false, prior: row.prior });
    add(`commits again: ${answer}`, setRecovery(after, id, { step: answer === 'ok' ? 'landed' : 'hopeless' }));
  } else if (world.blob !== null && rules.fence) {
    const etags = world.etags + 1;
    add('fences', setRecovery({ ...world, blob: { ...world.blob, etag: etags }, etags }, id, { step: 'hopeless' }));
  } else add('finds nothing', setRecovery(world, id, { step: 'hopeless' }));
  return next;
}
