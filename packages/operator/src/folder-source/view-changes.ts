import { canonicalJson } from '../reconcile/canonical-json.ts';
import type { ChangedRef } from '../resource-source.ts';
import { describeProblem } from './folder-status.ts';
import type { FolderProblem, FolderView } from './folder-view.ts';
import type { SecretManifest } from './secret-manifest.ts';

/** The objects that appeared, changed or went between two views, also those whose problems did. */
export function changedRefs(before: FolderView, after: FolderView): readonly ChangedRef[] {
  const changed = new Map<string, ChangedRef>();
  const problemsBefore = problemsByRef(before.problems);
  const problemsAfter = problemsByRef(after.problems);
  for (const [ref, { resource }] of [...before.resources, ...after.resources]) {
    const [old, present] = [before.resources.get(ref)?.resource, after.resources.get(ref)?.resource];
    const sameProblems = describe(problemsBefore.get(ref)) === describe(problemsAfter.get(ref));
    if (sameProblems && (old === present || canonicalJson(old) === canonicalJson(present))) continue;
    const { namespace, name } = resource.metadata;
    changed.set(ref, { kind: resource.kind, namespace, name });
  }
  for (const [ref, { namespace, name }] of [...before.secrets, ...after.secrets]) {
    if (!sameSecret(before.secrets.get(ref), after.secrets.get(ref))) changed.set(ref, { kind: 'Secret', namespace, name });
  }
  return [...changed.values()];
}

export function problemsByRef(problems: readonly FolderProblem[]): Map<string, readonly FolderProblem[]> {
  return Map.groupBy(
    problems.filter((problem) => problem.ref !== undefined),
    (problem) => problem.ref ?? '',
  );
}

function describe(problems: readonly FolderProblem[] | undefined): string {
  return (problems ?? []).map(describeProblem).join('\n');
}

function sameSecret(left: SecretManifest | undefined, right: SecretManifest | undefined): boolean {
  if (left === right) return true;
  if (left === undefined || right === undefined || left.values.size !== right.values.size) return false;
  return [...left.values].every(([key, value]) => right.values.get(key)?.reveal() === value.reveal());
}
