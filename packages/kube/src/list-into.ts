import { ANSWER_TOO_LARGE } from './http-transport.ts';
import type { KubePage, KubeReader, ListQuery } from './kube-client.ts';
import { isExpired, KubeError } from './kube-error.ts';
import { type KubeObject, keyOf } from './kube-object.ts';
import type { ResourceType } from './resource-type.ts';

export interface ListIntoProps {
  readonly client: KubeReader;
  readonly type: ResourceType;
  readonly query: ListQuery;
  readonly pageSize: number;
  readonly onPage: (objects: readonly KubeObject[]) => void;
  /** Called once, after the last page, with the keys of all of them: only now is what is missing known to be gone. */
  readonly onComplete: (seen: ReadonlySet<string>) => void;
}

/** A page token lives about five minutes; a list that outlives it so often is not going to end. */
const MAX_RESTARTS = 3;

/**
 * Lists everything in pages and returns the resource version to watch from. A page token that expired starts the list over;
 * a page above the size limit is asked for again with half as many items.
 *
 * @throws {KubeError}
 */
export async function listInto(props: ListIntoProps): Promise<string> {
  const { client, type, query } = props;
  let limit = props.pageSize;
  let seen = new Set<string>();
  let continueToken: string | undefined;
  for (let restarts = 0; ; ) {
    let page: KubePage;
    try {
      page = await client.listPage(type, { ...query, limit, continueToken });
    } catch (error) {
      if (continueToken !== undefined && isExpired(error) && restarts < MAX_RESTARTS) {
        restarts++;
        continueToken = undefined;
        seen = new Set();
        continue;
      }
      if (error instanceof KubeError && error.vendorCode === ANSWER_TOO_LARGE && limit > 1) {
        limit = Math.floor(limit / 2);
        continue;
      }
      throw error;
    }
    for (const object of page.items) seen.add(keyOf(object.metadata));
    props.onPage(page.items);
    if (page.continueToken === undefined) {
      props.onComplete(seen);
      return page.resourceVersion;
    }
    continueToken = page.continueToken;
  }
}
