/** A whole mesh as Envoy is told of it: each meshed pod with the resources that the controller would give its sidecar. */
import { createBundles } from '#controller/bundles.ts';
import { compile } from '#mesh/compile.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import type { ProxyPod } from '#mesh/view.ts';
import { viewFor } from '#mesh/view-for.ts';
import type { Resource } from '#xds/resource.ts';
import { translateEndpoints, translateView } from '#xds/translate/translate.ts';
import { configOf, type SidecarConfig } from './config.ts';

export interface Sidecar {
  readonly pod: PodObject;
  readonly resources: readonly Resource[];
  readonly config: SidecarConfig;
}

export interface SimulatedMesh {
  /** By `<namespace>/<pod>`. */
  readonly sidecars: ReadonlyMap<string, Sidecar>;
  readonly byAddress: ReadonlyMap<string, Sidecar>;
}

export function meshOf(objects: MeshObjects): SimulatedMesh {
  return meshOfModel(compile(objects).model);
}

/** `change` may spoil a sidecar's resources: to show that the simulation would notice. */
export function meshOfModel(
  model: MeshModel,
  change: (resources: readonly Resource[], pod: PodObject) => readonly Resource[] = (resources) => resources,
): SimulatedMesh {
  const sidecars = new Map<string, Sidecar>();
  const byAddress = new Map<string, Sidecar>();
  const resourcesOf = resourcesOfModel(model);
  for (const pod of model.pods.values()) {
    if (!pod.meshed) continue;
    const resources = change(resourcesOf(pod), pod);
    const sidecar = { pod, resources, config: configOf(resources) };
    sidecars.set(`${pod.namespace}/${pod.name}`, sidecar);
    for (const address of pod.ips) byAddress.set(address, sidecar);
  }
  return { sidecars, byAddress };
}

/** Clusters, endpoints, listeners and routes of a pod's sidecar, put together as the controller does. */
export function resourcesOfModel(model: MeshModel): (pod: PodObject) => Resource[] {
  const bundles = createBundles(model, { view: translateView, endpoints: translateEndpoints });
  return (pod) => {
    const proxy = proxyOf(model, pod);
    const bundle = bundles.bundle(viewFor(model, proxy));
    const endpoints = bundles.endpoints(bundle.outbound, proxy.zone);
    return [bundle.clusters, endpoints, bundle.listeners, bundle.routes].flatMap((map) => [...map.values()]);
  };
}

export function proxyOf(model: MeshModel, pod: PodObject): ProxyPod {
  const { namespace, name, account, ips } = pod;
  return { namespace, name, account, ips, zone: model.zones.get(pod.node) ?? '' };
}
