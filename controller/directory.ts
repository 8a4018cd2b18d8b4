import { Pods, ServiceAccounts } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient, Store } from '#kubernetes/types.ts';
import { type AccountKey, splitAccountKey } from '#mesh/identity.ts';
import type { PodObject } from '#mesh/objects.ts';
import type { Directory } from '#xds/server/auth.ts';

export interface DirectoryOptions {
  readonly client: Pick<KubernetesClient, 'get'>;
  readonly pods: Store<PodObject>;
  /** UIDs. */
  readonly accounts: Store<string>;
  /** How long a pod that exists may take to reach our own store, in milliseconds. */
  readonly waitMs?: number;
}

/**
 * Pods and accounts from the stores. A sidecar can be faster than our watch: a pod that the store does not have is
 * asked for, and when it exists, waited for, since everything else about it comes from the store.
 */
export function createDirectory({ client, pods, accounts, waitMs = 5000 }: DirectoryOptions): Directory {
  return {
    async pod(namespace, name, uid) {
      const key = `${namespace}/${name}`;
      const seen = pods.get(key);
      if (seen?.uid === uid) return seen;
      const object = await client.get<KubeObject>(Pods, name, namespace);
      if (object?.metadata.uid !== uid) return undefined;
      return waitFor(pods, key, (pod) => pod.uid === uid, waitMs);
    },
    async accountUid(account: AccountKey) {
      const seen = accounts.get(account);
      if (seen !== undefined) return seen;
      const { namespace, name } = splitAccountKey(account);
      return (await client.get<KubeObject>(ServiceAccounts, name, namespace))?.metadata.uid;
    },
  };
}

/** The object under a key as soon as it fits; undefined after `ms`. */
function waitFor<T>(store: Store<T>, key: string, fits: (object: T) => boolean, ms: number): Promise<T | undefined> {
  const now = store.get(key);
  if (now !== undefined && fits(now)) return Promise.resolve(now);
  return new Promise((resolve) => {
    const done = (object: T | undefined): void => {
      clearTimeout(timer);
      unsubscribe();
      resolve(object);
    };
    const timer = setTimeout(done, ms, undefined);
    const unsubscribe = store.subscribe((change) => {
      if (change.key === key && change.type !== 'deleted' && fits(change.object)) done(change.object);
    });
  });
}
