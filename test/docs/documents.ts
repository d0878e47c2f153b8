import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

export interface Document {
  /** Path below the root. */
  readonly path: string;
  readonly text: string;
}

/** Everything that is written for readers, by hand or generated. */
export function documents(): readonly Document[] {
  const paths = globSync(['*.md', 'docs/**/*.md', 'charts/**/*.md', 'deploy/**/*.md', 'test/**/*.md'], { cwd: ROOT });
  return paths.map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

/** Contents of fenced blocks of shell commands, with continued lines joined. */
export function commandsOf({ text }: Document): string {
  const blocks = [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```/gm)].map(([, block = '']) => block);
  const inline = [...text.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)].map(([, code = '']) => code);
  return [...blocks, ...inline].join('\n').replaceAll('\\\n', ' ');
}
