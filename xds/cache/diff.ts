import type { Resource } from '#xds/resource.ts';
import type { ResourceMap } from './snapshot.ts';

/** What must happen to a holder of one map so that it holds another. */
export interface ResourceDiff {
  readonly added: readonly Resource[];
  readonly updated: readonly Resource[];
  readonly removed: readonly string[];
}

/** What a client is known to hold: a name at a version. Every Resource is one. */
export interface Versioned {
  readonly hash: string;
}

const NOTHING: ResourceDiff = { added: [], updated: [], removed: [] };
const memory = new WeakMap<object, WeakMap<object, ResourceDiff>>();

/**
 * The difference between what is held and what should be. Remembered for each pair of maps, since a thousand sidecars
 * go from the same map to the same map; the memory goes when either map goes.
 */
export function diff(held: ReadonlyMap<string, Versioned>, wanted: ResourceMap): ResourceDiff {
  if (held === wanted) return NOTHING;
  const known = memory.get(held)?.get(wanted);
  if (known !== undefined) return known;
  const added: Resource[] = [];
  const updated: Resource[] = [];
  const removed: string[] = [];
  for (const resource of wanted.values()) {
    const before = held.get(resource.name);
    if (before === undefined) added.push(resource);
    else if (before.hash !== resource.hash) updated.push(resource);
  }
  for (const name of held.keys()) if (!wanted.has(name)) removed.push(name);
  return remember(held, wanted, { added, updated, removed });
}

/**
 * A map with other versions of some of its resources. The difference is known, so nobody has to look for it: a change of one
 * resource costs its holders the same however many others they hold.
 */
export function withUpdates(map: ResourceMap, updated: readonly Resource[]): ResourceMap {
  const next = new Map(map);
  for (const resource of updated) {
    if (!next.has(resource.name)) throw new Error(`${resource.name} is no resource of the map`);
    next.set(resource.name, resource); // a key that is there keeps its place: the map stays sorted
  }
  remember(map, next, { added: [], updated, removed: [] });
  return next;
}

function remember(held: object, wanted: object, result: ResourceDiff): ResourceDiff {
  const ofHeld = memory.get(held) ?? new WeakMap<object, ResourceDiff>();
  memory.set(held, ofHeld.set(wanted, result));
  return result;
}
