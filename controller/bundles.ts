/**
 * Views → resources, once for all who share them. Bundles are found by the view's keys, assignments by identity; what an
 * earlier revision made is taken from there, so an unrelated change keeps every reference.
 */
import { endpointsFor } from '#mesh/endpoints.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { EndpointAssignment, InboundView, OutboundView, ProxyView } from '#mesh/view.ts';
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
}

export function createBundles(model: MeshModel, translate: Translate): Bundles {
  let current = model;
  let bundles = new Map<string, Bundle>();
  let before = new Map<string, Bundle>();
  let assignments = new Map<string, ResourceMap>();
  let assignmentsBefore = new Map<string, ResourceMap>();

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
      const key = `${outbound.key}\n${zone}`;
      const known = assignments.get(key);
      if (known !== undefined) return known;
      const clusters = outbound.clusters.filter(({ discovery }) => discovery === 'endpoints');
      const made = resourceMap(
        clusters.map((cluster) => translate.endpoints(endpointsFor(current, cluster, zone))),
        assignmentsBefore.get(key),
      );
      assignments.set(key, made);
      return made;
    },
  };
}
