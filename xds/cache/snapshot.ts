import type { Resource } from '#xds/resource.ts';
import { TYPES, type TypeUrl } from './types.ts';

/**
 * The resources of one type, by name. Immutable, and shared: sidecars that see the same parts hold the same map, so
 * "nothing changed" is one comparison of references, and what did change is found once for all of them (`diff.ts`).
 */
export type ResourceMap = ReadonlyMap<string, Resource>;

/** Everything that one sidecar should have, at one moment. */
export type ProxySnapshot = Readonly<Record<TypeUrl, ResourceMap>>;

export const NO_RESOURCES: ResourceMap = new Map();

export const EMPTY_SNAPSHOT: ProxySnapshot = snapshotOf(() => NO_RESOURCES);

/** Makes a snapshot by asking for the map of each type. */
export function snapshotOf(mapFor: (type: TypeUrl) => ResourceMap): ProxySnapshot {
  const entries = TYPES.map((type) => [type, mapFor(type)] as const);
  return Object.fromEntries(entries) as Record<TypeUrl, ResourceMap>;
}

/**
 * A map of `resources` by name, sorted. Gives `previous` itself when that says the same, so that an unrelated change
 * keeps every reference and costs the streams nothing.
 */
export function resourceMap(resources: Iterable<Resource>, previous: ResourceMap = NO_RESOURCES): ResourceMap {
  const sorted = [...resources].toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const map = new Map(sorted.map((resource) => [resource.name, resource]));
  return sameResources(map, previous) ? previous : map;
}

/** True when both hold the same names at the same versions. */
export function sameResources(a: ResourceMap, b: ResourceMap): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [name, resource] of a) if (b.get(name)?.hash !== resource.hash) return false;
  return true;
}

/** Groups resources of all types into one snapshot; maps of `previous` are kept where they say the same. */
export function buildSnapshot(resources: Iterable<Resource>, previous: ProxySnapshot = EMPTY_SNAPSHOT): ProxySnapshot {
  const byType = new Map<string, Resource[]>();
  for (const resource of resources) {
    const list = byType.get(resource.type);
    if (list === undefined) byType.set(resource.type, [resource]);
    else list.push(resource);
  }
  const snapshot = snapshotOf((type) => resourceMap(byType.get(type) ?? [], previous[type]));
  return TYPES.every((type) => snapshot[type] === previous[type]) ? previous : snapshot;
}
