/** A directory that was to be renamed, and what should be in it. */
export interface RenamedTree {
  readonly from: string;
  readonly to: string;
  /** Content of each file, by its path below the directory. */
  readonly files: ReadonlyMap<string, string>;
  /** Acknowledged while the rename was under way; a file of its own that may lie at either name. */
  readonly late: ReadonlyMap<string, string>;
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
}

export interface FoundFile {
  readonly name: 'from' | 'to';
  readonly path: string;
  /** `undefined`: of no attempt. */
  readonly content: string | undefined;
}

/** What contradicts "every file is there exactly once with its content, and the event is there once if they have moved". */
export function renameProblems(tree: RenamedTree, found: readonly FoundFile[], eventIds: readonly string[]): readonly string[] {
  const problems: string[] = [];
  const report = (text: string) => problems.push(`${tree.from}: ${text}`);
  const moved = found.some((file) => file.name === 'to');
  for (const [path, content] of [...tree.files, ...tree.late]) {
    const copies = found.filter((file) => file.path === path);
    if (copies.length !== 1) report(`${path} is there ${copies.length} times`);
    for (const copy of copies) if (copy.content !== content) report(`${path} has another content`);
  }
  for (const { name, path } of found) {
    if (!tree.files.has(path) && !tree.late.has(path)) report(`${path} was put there by nobody`);
    if (tree.files.has(path) && (name === 'to') !== moved) report(`${path} was left behind`);
  }
  if (tree.outcome === 'acknowledged' && !moved) report('acknowledged, but not moved');
  if (tree.outcome === 'refused' && moved) report('refused, but moved');
  const unique = new Set(eventIds).size;
  if (unique !== (moved ? 1 : 0)) report(`${moved ? 'moved' : 'not moved'}, ${unique} events`);
  return problems;
}
