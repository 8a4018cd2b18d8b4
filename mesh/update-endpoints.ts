/** A change of one service's EndpointSlices without a compile: everything else of the model is shared with the new one. */
import type { MeshModel, MeshService, NameKey } from './model.ts';
import type { EndpointSliceObject } from './objects.ts';
import { buildService } from './services.ts';

export interface EndpointChange {
  readonly namespace: string;
  readonly service: string;
  /** All slices that the service has now. */
  readonly slices: readonly EndpointSliceObject[];
}

export type EndpointUpdate =
  /** Views are the same as before; `endpointsFor` answers anew for clusters of this service. */
  | { readonly kind: 'endpoints'; readonly model: MeshModel; readonly service: NameKey }
  /** Nothing that the mesh uses has changed. */
  | { readonly kind: 'unchanged'; readonly model: MeshModel }
  /** Accounts, ports or addresses changed as well, which views show: compile again. */
  | { readonly kind: 'recompile' };

export function updateEndpoints(model: MeshModel, change: EndpointChange): EndpointUpdate {
  const key = `${change.namespace}/${change.service}`;
  const before = model.services.get(key);
  if (before === undefined) return joinsMesh(model, change) ? { kind: 'recompile' } : { kind: 'unchanged', model };
  // without a selector, membership itself comes from the slices
  if (Object.keys(before.object.selector).length === 0) return { kind: 'recompile' };
  const { service: after } = buildService(before.object, {
    clusterDomain: model.settings.clusterDomain,
    selected: model.selected.get(key) ?? [],
    slices: change.slices,
    pod: (pod) => model.pods.get(pod),
    zoneOfNode: (node) => model.zones.get(node),
    apex: model.splits.has(key),
  });
  if (after === undefined || after.shape !== before.shape) return { kind: 'recompile' };
  // a pod that only the slices know serves the service because of them: its inbound side changes with them
  const selected = new Set((model.selected.get(key) ?? []).map(({ name }) => name));
  if (hasStranger(before, selected) || hasStranger(after, selected)) return { kind: 'recompile' };
  if (sameEndpoints(before.endpoints, after.endpoints)) return { kind: 'unchanged', model };
  const services = new Map(model.services).set(key, after);
  return { kind: 'endpoints', model: { ...model, services }, service: key };
}

function joinsMesh(model: MeshModel, change: EndpointChange): boolean {
  return change.slices.some((slice) =>
    slice.endpoints.some(
      ({ pod }) => pod !== undefined && model.pods.get(`${change.namespace}/${pod}`)?.meshed === true,
    ),
  );
}

function hasStranger({ endpoints }: MeshService, selected: ReadonlySet<string>): boolean {
  return [...endpoints.values()].some((list) => list.some(({ workload }) => !selected.has(workload.pod)));
}

/** Both were made by the same function, in the same order. */
function sameEndpoints(a: ReadonlyMap<number, unknown>, b: ReadonlyMap<number, unknown>): boolean {
  return JSON.stringify([...a]) === JSON.stringify([...b]);
}
