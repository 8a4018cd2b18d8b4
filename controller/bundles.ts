/**
 * Views → resources, once for all who share them. Bundles are found by the view's keys, assignments by identity; what an
 * earlier revision made is taken from there, so an unrelated change keeps every reference.
 */
import { endpointsFor } from '#mesh/endpoints.ts';
import type { MeshModel, NameKey } from '#mesh/model.ts';
import type { EndpointAssignment, InboundView, OutboundView, ProxyView, UpstreamCluster } from '#mesh/view.ts';
import { withUpdates } from '#xds/cache/diff.ts';
import { resourceMap, type ResourceMap } from '#xds/cache/snapshot.ts';
import { CLUSTER, LISTENER, ROUTES } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';

/** The two functions of `xds/translate` that a bundle is made with. */
export interface Translate {
  readonly view: (view: ProxyView) => readonly Resource[];
  readonly endpoints: (assignment: EndpointAssignment) => Resource;
}

/** Clusters, listeners and routes of one view. */
export interface Bundle {
  readonly outbound: OutboundView;
  readonly inbound: InboundView;
  readonly clusters: ResourceMap;
  readonly listeners: ResourceMap;
  readonly routes: ResourceMap;
}

export interface Bundles {
  /** Starts a revision: bundles that it does not ask for are forgotten when the next one starts. */
  next(model: MeshModel): void;
  bundle(view: ProxyView): Bundle;
  /** The assignments of all clusters of a view, as a client in `zone` sees them. */
  endpoints(outbound: OutboundView, zone: string): ResourceMap;
  /**
   * The short path: endpoints of some services changed, and no view did. Gives the new assignments of each group of sidecars
   * (`groupOf`) for which they differ, one group after the other as they are asked for, so that the first group's sidecars
   * do not wait for the last one's assignments. Ask for all of them.
   */
  replaceEndpoints(next: MeshModel, services: readonly NameKey[]): Iterable<readonly [group: string, ResourceMap]>;
}

/** Sidecars of one group are given the same assignments: those with the same outbound view in one zone. */
export function groupOf(outbound: OutboundView, zone: string): string {
  return `${outbound.key}\n${zone}`;
}

/** What one group is given. */
interface Assignments {
  readonly outbound: OutboundView;
  readonly zone: string;
  readonly map: ResourceMap;
}

export function createBundles(model: MeshModel, translate: Translate): Bundles {
  let current = model;
  let bundles = new Map<string, Bundle>();
  let before = new Map<string, Bundle>();
  let assignments = new Map<string, Assignments>();
  let assignmentsBefore = new Map<string, Assignments>();
  const translated = (cluster: UpstreamCluster, zone: string): Resource =>
    translate.endpoints(endpointsFor(current, cluster, zone));

  return {
    next(next) {
      current = next;
      before = bundles;
      bundles = new Map();
      assignmentsBefore = assignments;
      assignments = new Map();
    },
    bundle(view) {
      const key = `${view.outbound.key}\n${view.inbound.key}`;
      const known = bundles.get(key) ?? before.get(key);
      if (known !== undefined) {
        bundles.set(key, known);
        return known;
      }
      const resources = translate.view(view);
      const ofType = (type: string): ResourceMap => resourceMap(resources.filter((resource) => resource.type === type));
      const made: Bundle = {
        ...view,
        clusters: ofType(CLUSTER),
        listeners: ofType(LISTENER),
        routes: ofType(ROUTES),
      };
      bundles.set(key, made);
      return made;
    },
    endpoints(outbound, zone) {
      const key = groupOf(outbound, zone);
      const known = assignments.get(key);
      if (known !== undefined) return known.map;
      const clusters = [...clustersByService(outbound).values()].flat();
      const map = resourceMap(
        clusters.map((cluster) => translated(cluster, zone)),
        assignmentsBefore.get(key)?.map,
      );
      assignments.set(key, { outbound, zone, map });
      return map;
    },
    *replaceEndpoints(next, services) {
      current = next;
      for (const [key, { outbound, zone, map }] of assignments) {
        const seen = clustersByService(outbound);
        const changed = services
          .flatMap((service) => seen.get(service) ?? [])
          .map((cluster) => translated(cluster, zone))
          .filter(({ name, hash }) => map.get(name)?.hash !== hash);
        if (changed.length === 0) continue;
        const newer = withUpdates(map, changed);
        assignments.set(key, { outbound, zone, map: newer });
        yield [key, newer];
      }
    },
  };
}

const byService = new WeakMap<OutboundView, ReadonlyMap<NameKey, readonly UpstreamCluster[]>>();

/** The clusters of a view that have endpoints. Views outlive revisions, and so does this. */
function clustersByService(outbound: OutboundView): ReadonlyMap<NameKey, readonly UpstreamCluster[]> {
  const known = byService.get(outbound);
  if (known !== undefined) return known;
  const clusters = outbound.clusters.filter(({ discovery }) => discovery === 'endpoints');
  const made = Map.groupBy(clusters, ({ namespace, service }) => `${namespace}/${service}`);
  byService.set(outbound, made);
  return made;
}
