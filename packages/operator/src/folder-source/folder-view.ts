import type { SftpResource } from '@skiff/model/parse-resource';
import type { ManifestObject, ManifestPosition, ParsedManifests } from './parse-manifests.ts';
import type { SecretManifest } from './secret-manifest.ts';

/** What is wrong in the folder, and where. */
export interface FolderProblem extends ManifestPosition {
  /** Path below the folder; `''` is the folder itself. */
  readonly file: string;
  /** `Kind/namespace/name`, where it concerns one object. */
  readonly ref: string | undefined;
  readonly message: string;
}

/** What counts of one file. */
export interface FileState {
  readonly objects: ReadonlyMap<string, HeldObject>;
  readonly problems: readonly FolderProblem[];
  readonly ignoredKinds: readonly string[];
  /** False until this process has once been able to say which objects the file holds, be they valid or not. */
  readonly known: boolean;
}

/** `stale`: taken from an earlier version of the file, since the present one is broken. */
export type HeldObject = ManifestObject & { readonly stale: boolean };

/** The whole folder, merged. */
export interface FolderView {
  readonly resources: ReadonlyMap<string, ViewedResource>;
  readonly secrets: ReadonlyMap<string, SecretManifest>;
  readonly problems: readonly FolderProblem[];
  /** False while a file or folder is broken of which no good version is known. */
  readonly complete: boolean;
}

export interface ViewedResource {
  readonly resource: SftpResource;
  readonly file: string;
}

/** The state of a file after a read. While a file has a problem, none of its objects vanishes: it may be half-written. */
export function nextFileState(file: string, previous: FileState | undefined, parsed: ParsedManifests): FileState {
  const objects = new Map<string, HeldObject>();
  if (parsed.problems.length > 0) for (const [ref, held] of previous?.objects ?? []) objects.set(ref, { ...held, stale: true });
  for (const [ref, object] of parsed.objects) objects.set(ref, { ...object, stale: false });
  const problems = parsed.problems.map((problem) => ({ file, ...problem }));
  return {
    objects,
    problems,
    ignoredKinds: parsed.ignoredKinds,
    known: previous?.known === true || parsed.problems.every((problem) => problem.ref !== undefined),
  };
}

/** The state of a file that is there but cannot be read or is refused unread. */
export function unreadableFileState(file: string, previous: FileState | undefined, message: string): FileState {
  const problem = { ref: undefined, line: 1, column: 1, message };
  return nextFileState(file, previous, { objects: new Map(), problems: [problem], ignoredKinds: previous?.ignoredKinds ?? [] });
}

/**
 * Merges files into one view. An object that two files define is taken from the first by path, and that is a problem which
 * names both. A stale object gives way to a fresh one without a word: it has most likely moved.
 */
export function mergeFolder(files: ReadonlyMap<string, FileState>, folderProblems: readonly FolderProblem[]): FolderView {
  const resources = new Map<string, ViewedResource>();
  const secrets = new Map<string, SecretManifest>();
  const problems = [...folderProblems];
  const owners = new Map<string, string>();
  const paths = [...files.keys()].sort();
  let complete = folderProblems.length === 0;
  for (const stale of [false, true]) {
    for (const path of paths) {
      for (const [ref, object] of files.get(path)?.objects ?? []) {
        if (object.stale !== stale) continue;
        const owner = owners.get(ref);
        if (owner === undefined) {
          owners.set(ref, path);
          if (object.kind === 'secret') secrets.set(ref, object.secret);
          else resources.set(ref, { resource: object.resource, file: path });
        } else if (!stale) {
          problems.push({ file: path, ref, line: object.line, column: 1, message: `defined in ${owner} and in ${path}; ${owner} counts, remove the other` });
        }
      }
    }
  }
  for (const state of files.values()) {
    problems.push(...state.problems);
    complete &&= state.known;
  }
  return { resources, secrets, problems, complete };
}
