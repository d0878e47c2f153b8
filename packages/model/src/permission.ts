import { isWithin, parseVirtualPath, ROOT_PATH, type VirtualPath } from './virtual-path.ts';

/** What a user may do in a directory and below it. */
export const PERMISSIONS = ['List', 'Read', 'Write', 'Overwrite', 'Delete', 'Rename', 'MakeDirectory', 'RemoveDirectory', 'SetAttributes'] as const;
export type Permission = (typeof PERMISSIONS)[number];

export interface PermissionRule {
  /** Directory the rule holds for, and everything below it. */
  readonly path: string;
  readonly allow: readonly Permission[];
}

/**
 * Decides one permission on one path: the rule with the deepest matching directory wins; without any matching rule nothing
 * is allowed; without any rules at all everything is.
 */
export function isPermitted(rules: readonly PermissionRule[] | undefined, permission: Permission, path: VirtualPath): boolean {
  if (rules === undefined) return true;
  let best: PermissionRule | undefined;
  let bestDepth = -1;
  for (const rule of rules) {
    const directory = parseVirtualPath(rule.path);
    const depth = directory === ROOT_PATH ? 0 : directory.length;
    if (depth > bestDepth && isWithin(path, directory)) {
      best = rule;
      bestDepth = depth;
    }
  }
  return best?.allow.includes(permission) ?? false;
}
