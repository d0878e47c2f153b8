import { StoreError } from '@skiff/model/store-error';
import type { BlobName } from '@skiff/model/virtual-path';
import type { Failpoints } from '@skiff/runtime/failpoint';
import type { FileStore } from '@skiff/storage/file-store';
import type { Effect, FinishProps } from './finish.ts';

export interface RemoveEffectProps {
  readonly store: FileStore;
  readonly name: BlobName;
  /** It may have been done before, by a process that is gone. */
  readonly replay: boolean;
  readonly failpoints: Failpoints;
}

/**
 * Removes one version of a file. That it is gone already is a success only for somebody who may have removed it: on a replay,
 * and then `unconfirmed`, because it cannot be told whose removal it was.
 */
export function removeEffect(props: RemoveEffectProps): FinishProps['attempt'] {
  let attempts = 0;
  return async (priorEtag, signal): Promise<Effect> => {
    const mayHaveHappened = props.replay || attempts++ > 0;
    try {
      await props.store.remove(props.name, { ...(priorEtag === null ? {} : { etag: priorEtag }), signal });
      await props.failpoints.hit('remove.done');
      return { kind: 'done', etag: undefined };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code === 'notFound') return gone(mayHaveHappened);
      if (error.code !== 'conflict') throw error;
      const present = await props.store.stat(props.name, signal);
      return present === undefined || present.isDirectory ? gone(mayHaveHappened) : { kind: 'changed', etag: present.etag };
    }
  };
}

function gone(mayHaveHappened: boolean): Effect {
  return mayHaveHappened ? { kind: 'done', etag: undefined, unconfirmed: true } : { kind: 'impossible', reason: 'the file was removed meanwhile' };
}
