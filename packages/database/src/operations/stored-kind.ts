import { OPERATION_KINDS, type OperationKind } from '@skiff/model/upload-state';

/**
 * A directory rename is stored as a removal of a directory that has a target and no plan. Programs of the version before, which run
 * beside this one during an update, cannot read a row of a kind they do not know, and would stop recovering anything. This
 * they can: they take both names for locked by a directory operation and refuse what is written below; without a plan their
 * recovery passes the row by, whoever owns it.
 */
export function storedKindOf(kind: OperationKind): string {
  return kind === 'renamedir' ? 'rmdir' : kind;
}

/** `undefined`: a newer program wrote it. */
export function kindOfStored(text: string, hasTarget: boolean): OperationKind | undefined {
  if (text === 'rmdir' && hasTarget) return 'renamedir';
  return OPERATION_KINDS.find((kind) => kind === text && kind !== 'renamedir');
}
