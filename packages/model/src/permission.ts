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
 * is allowed; without any rules at all everything is. Of several rules for that directory (`/in` and `/in/`) each must allow it.
 */
export function isPermitted(rules: readonly PermissionRule[] | undefined, permission: Permission, path: VirtualPath): boolean {
  if (rules === undefined) return true;
  let allowed = false;
  let bestDepth = -1;
  for (const rule of rules) {
    const directory = parseVirtualPath(rule.path);
    const depth = directory === ROOT_PATH ? 0 : directory.length;
    if (depth < bestDepth || !isWithin(path, directory)) continue;
    allowed = rule.allow.includes(permission) && (allowed || depth > bestDepth);
    bestDepth = depth;
  }
  return allowed;
}
