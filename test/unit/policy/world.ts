/** Calls in a mesh of builders, by name, judged from Envoy's bytes. */
import { compile } from '#mesh/compile.ts';
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import { meshOfModel, type Sidecar, type SimulatedMesh } from '#test/support/simulate/mesh.ts';
import { callOf, type UrlCall } from '#test/support/simulate/names.ts';
import { say } from '#test/support/simulate/say.ts';
import { arrive, type ArrivingCall, type Fate, simulate } from '#test/support/simulate/simulate.ts';
import { certificateOf } from '#test/support/simulate/tls.ts';
import type { Resource } from '#xds/resource.ts';

export interface World {
  readonly objects: MeshObjects;
  readonly mesh: SimulatedMesh;
  readonly sidecar: (of: PodObject) => Sidecar;
  /** What becomes of it, in the words of `say`. */
  readonly call: (from: PodObject, url: string, options?: UrlCall) => string;
  /** A call that goes past the caller's own sidecar, with the caller's certificate. */
  readonly bypass: (from: PodObject, to: PodObject, call: Bypass) => Fate;
}

export interface Bypass {
  readonly port: number;
  /** `<service>.<namespace>`; the server name is made of it. */
  readonly service: string;
  readonly http?: ArrivingCall['http'];
}

export function world(
  objects: MeshObjects,
  change?: (resources: readonly Resource[], pod: PodObject) => readonly Resource[],
): World {
  const mesh = meshOfModel(compile(objects).model, change);
  const sidecar = (of: PodObject): Sidecar => {
    const found = mesh.sidecars.get(`${of.namespace}/${of.name}`);
    if (found === undefined) throw new Error(`${of.namespace}/${of.name} has no sidecar`);
    return found;
  };
  return {
    objects,
    mesh,
    sidecar,
    call: (from, url, options) => say(simulate(mesh, sidecar(from), callOf(objects, from, url, options))),
    bypass: (from, to, { port, service, http }) =>
      arrive(sidecar(to), {
        port,
        tls: {
          sni: `${service}.svc.${objects.config.clusterDomain}`,
          alpn: ['osm'],
          certificate: certificateOf(from.account),
        },
        ...(http === undefined ? {} : { http }),
      }),
  };
}
