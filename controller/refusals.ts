/**
 * What sidecars refused, so that new ones are not given it either: they get what the refuser holds instead. Counts for
 * the refuser's own service account only: a sidecar that refuses everything must not stop the rest of the mesh.
 */
import type { AccountKey } from '#mesh/identity.ts';
import { type ProxySnapshot, resourceMap, snapshotOf } from '#xds/cache/snapshot.ts';
import { SHORT_NAME, type TypeUrl } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';

/** Refusals kept for one account; older ones go. More would mean that everything is refused. */
const MOST = 500;

export interface Refusals {
  /** `instead` is what the sidecar held of that name, if anything. */
  note(account: AccountKey, refused: Resource, instead: Resource | undefined): void;
  /** The snapshot with every refused version replaced by the last good one, or left out where there is none. */
  lastGood(account: AccountKey, snapshot: ProxySnapshot): ProxySnapshot;
  /** Forgets an account that has no sidecar left. */
  forget(account: AccountKey): void;
}

export function createRefusals(): Refusals {
  const byAccount = new Map<AccountKey, Map<string, Resource | undefined>>();
  const keyOf = (resource: Resource): string => `${resource.type}\n${resource.name}\n${resource.hash}`;
  return {
    note(account, refused, instead) {
      const refusals = byAccount.get(account) ?? new Map<string, Resource | undefined>();
      byAccount.set(account, refusals);
      // A version that was itself refused earlier is no replacement.
      const good = instead !== undefined && refusals.has(keyOf(instead)) ? refusals.get(keyOf(instead)) : instead;
      refusals.set(keyOf(refused), good);
      for (const oldest of refusals.keys()) {
        if (refusals.size <= MOST) break;
        refusals.delete(oldest);
      }
    },
    lastGood(account, snapshot) {
      const refusals = byAccount.get(account);
      if (refusals === undefined) return snapshot;
      return snapshotOf((type) => {
        const wanted = snapshot[type];
        const bad = [...wanted.values()].filter((resource) => refusals.has(keyOf(resource)));
        if (bad.length === 0) return wanted;
        const kept = [...wanted.values()].flatMap((resource) => {
          if (!refusals.has(keyOf(resource))) return [resource];
          const good = refusals.get(keyOf(resource));
          return good === undefined ? [] : [good];
        });
        return resourceMap(kept);
      });
    },
    forget: (account) => {
      byAccount.delete(account);
    },
  };
}

/** For logs: `cds shop/web|80|1a2b`. */
export function nameOf(type: TypeUrl, resource: Resource): string {
  return `${SHORT_NAME[type]} ${resource.name}`;
}
