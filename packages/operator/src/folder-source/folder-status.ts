import type { Condition, ConditionDraft } from '@skiff/model/condition';
import { mergeConditions } from '../merge-conditions.ts';
import type { FolderProblem } from './folder-view.ts';

/**
 * Adds to an object's conditions what only the folder knows: that its newest version is refused or that two files define it.
 * `Accepted` and `Ready` then say so, while `Programmed` goes on saying what is in force.
 */
export function withFolderProblems(
  conditions: readonly Condition[],
  problems: readonly FolderProblem[],
  context: { readonly previous: readonly Condition[]; readonly now: Date },
): readonly Condition[] {
  if (problems.length === 0) return conditions;
  const message = problems.map(describeProblem).join('; ');
  const observedGeneration = conditions[0]?.observedGeneration ?? 0;
  const refused = (type: 'Accepted' | 'Ready'): ConditionDraft => ({ type, status: 'False', reason: 'Invalid', message, observedGeneration });
  const untouched = conditions.filter(({ type }) => type !== 'Accepted' && type !== 'Ready');
  const merged = mergeConditions(context.previous, [refused('Accepted'), refused('Ready')], context.now);
  return [...merged.filter(({ type }) => type === 'Accepted'), ...untouched, ...merged.filter(({ type }) => type === 'Ready')];
}

/** `users.yaml:12:3: …`, as compilers and editors write it. */
export function describeProblem(problem: FolderProblem): string {
  return problem.file === '' ? problem.message : `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`;
}
