import { isExpired } from './error.ts';
import { apiVersionOf } from './kinds.ts';
import { collectionOf } from './paths.ts';
import type { Kind, KubeObject, KubernetesClient, ListOptions } from './types.ts';

/** Objects a page: small enough that parsing one does not hold up the process (500 pods are some 3 MB of JSON). */
const pageSize = 500;

export interface Page<T> {
  readonly items: T[];
  /** That of the whole list, the same on each page: where a watch goes on from. */
  readonly resourceVersion: string;
  /** The pages before this one were of a list that the server has forgotten: drop them. */
  readonly restarted: boolean;
}

interface ListAnswer<T> {
  items: T[] | null;
  metadata: { resourceVersion?: string; continue?: string };
}

/**
 * The pages of a consistent list. When the server forgets it half-way (410), everything follows in one page, which
 * cannot be forgotten.
 */
export async function* listPages<T extends KubeObject>(
  client: Pick<KubernetesClient, 'request'>,
  kind: Kind,
  options: ListOptions = {},
): AsyncGenerator<Page<T>> {
  let next: string | undefined;
  let limit: number | undefined = pageSize;
  let restarted = false;
  do {
    let answer: ListAnswer<T>;
    try {
      answer = await client.request<ListAnswer<T>>('GET', collectionOf(kind, options, { limit, continue: next }));
    } catch (error) {
      if (next === undefined || !isExpired(error)) throw error;
      next = undefined;
      limit = undefined;
      restarted = true;
      continue;
    }
    const items = answer.items ?? [];
    const apiVersion = apiVersionOf(kind);
    for (const item of items) {
      // Lists of built-in kinds leave these out of their items.
      item.apiVersion = apiVersion;
      item.kind = kind.kind;
    }
    yield { items, resourceVersion: answer.metadata.resourceVersion ?? '', restarted };
    restarted = false;
    next = answer.metadata.continue || undefined;
  } while (next !== undefined || restarted);
}
