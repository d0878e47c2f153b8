import type { Condition, ConditionDraft, ConditionReason } from '@skiff/model/condition';

/** Why something cannot be used, in the words of a condition. */
export interface Obstacle {
  readonly reason: ConditionReason;
  readonly message: string;
}

/** What the translation knows of an object: `Accepted` and `ResolvedRefs`, and whether anything else keeps it from being ready. */
export interface Verdict {
  readonly observedGeneration: number;
  /** Wrong in the spec. */
  readonly refused: Obstacle | undefined;
  /** Wrong with what the spec names. */
  readonly unresolved: Obstacle | undefined;
  /** Nothing is wrong, and yet it cannot be used: suspended, expired, without credentials. */
  readonly notReady: Obstacle | undefined;
  /** False: nothing of the object is in force. */
  readonly inForce: boolean;
  /** Why pods cannot judge source ranges; absent: they can, or there are none. */
  readonly addressHidden?: Obstacle | undefined;
  /** Why events of an endpoint have not reached its event bus in time; absent: they have. */
  readonly eventsDelayed?: Obstacle | undefined;
}

export type ProgrammedState = { readonly status: 'True' } | ({ readonly status: 'False' | 'Unknown' } & Obstacle);

/** The conditions of an endpoint, a user or a route. `programmed` tells what became of its row. */
export function completeConditions(verdict: Verdict, programmed: ProgrammedState): readonly ConditionDraft[] {
  const { observedGeneration, refused, unresolved, notReady, inForce, addressHidden, eventsDelayed } = verdict;
  const withheld = refused ?? unresolved ?? { reason: 'Pending' as const, message: 'it is not in force' };
  const state: ProgrammedState = inForce ? programmed : { status: 'False', ...withheld };
  const obstacle = refused ?? unresolved ?? (state.status === 'True' ? notReady : state);
  const status = obstacle === state && state.status === 'Unknown' ? 'Unknown' : 'False';
  return [
    condition('Accepted', refused, { reason: 'Accepted', message: 'the spec is valid' }),
    condition('ResolvedRefs', unresolved, { reason: 'ResolvedRefs', message: 'everything it refers to was found' }),
    state.status === 'True'
      ? condition('Programmed', undefined, { reason: 'Programmed', message: 'it is in force' })
      : { ...condition('Programmed', state, state), status: state.status },
    obstacle === undefined ? condition('Ready', undefined, { reason: 'Ready', message: 'ready' }) : { ...condition('Ready', obstacle, obstacle), status },
    ...onlyWhileSo('ClientAddressHidden', addressHidden),
    ...onlyWhileSo('EventsDelayed', eventsDelayed),
  ];

  function onlyWhileSo(type: Condition['type'], trouble: Obstacle | undefined): readonly ConditionDraft[] {
    return trouble === undefined ? [] : [condition(type, undefined, trouble)];
  }

  function condition(type: Condition['type'], failed: Obstacle | undefined, fine: Obstacle): ConditionDraft {
    const { reason, message } = failed ?? fine;
    return { type, status: failed === undefined ? 'True' : 'False', reason, message, observedGeneration };
  }
}
