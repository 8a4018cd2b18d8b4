/** The pods behind a service as its EndpointSlices list them: addresses to call it by, and endpoints to send calls to. */
import type { MeshPort, NameKey, ServiceAddress, ServiceEndpoint } from './model.ts';
import type { EndpointObject, EndpointSliceObject, PodObject, ServiceObject } from './objects.ts';
import { compareText, sortedSet } from './order.ts';

/** An endpoint and the pod that it is. */
export interface Backed {
  readonly slice: EndpointSliceObject;
  readonly endpoint: EndpointObject;
  readonly pod: PodObject;
}

export interface PodSource {
  readonly pod: (key: NameKey) => PodObject | undefined;
  readonly zoneOfNode: (node: string) => string | undefined;
}

/** Endpoints that are a pod that we know; any other cannot speak mTLS with us. */
export function backedEndpoints(slice: EndpointSliceObject, sources: PodSource): Backed[] {
  return slice.endpoints.flatMap((endpoint) => {
    const pod = endpoint.pod === undefined ? undefined : sources.pod(`${slice.namespace}/${endpoint.pod}`);
    return pod === undefined ? [] : [{ slice, endpoint, pod }];
  });
}

export function clusterAddresses(object: ServiceObject): ServiceAddress[] {
  return sortedSet(object.clusterIPs).map((address) => ({ address, account: undefined }));
}

/** Not only the ready ones: a caller may hold an address that DNS gave it a moment ago. */
export function podAddresses(backed: readonly Backed[]): ServiceAddress[] {
  const accounts = new Map(
    backed.flatMap(({ endpoint, pod }) => endpoint.addresses.map((address) => [address, pod.account] as const)),
  );
  return [...accounts]
    .map(([address, account]) => ({ address, account }))
    .sort((a, b) => compareText(a.address, b.address));
}

export function buildEndpoints(
  object: ServiceObject,
  ports: readonly MeshPort[],
  backed: readonly Backed[],
  sources: PodSource,
): Map<number, ServiceEndpoint[]> {
  const family = primaryFamily(object, backed);
  const result = new Map<number, ServiceEndpoint[]>();
  for (const { port } of ports) {
    const name = object.ports.find((entry) => entry.port === port && entry.protocol === 'TCP')?.name ?? '';
    const endpoints = new Map<string, ServiceEndpoint>();
    for (const { slice, endpoint, pod } of backed) {
      if (!endpoint.ready || slice.addressType !== family) continue;
      const target = slice.ports.find((entry) => entry.name === name);
      if (target === undefined) continue;
      const zone = endpoint.zone ?? sources.zoneOfNode(pod.node) ?? '';
      const workload = { namespace: pod.namespace, kind: pod.workload.kind, name: pod.workload.name, pod: pod.name };
      for (const address of endpoint.addresses.slice(0, 1)) {
        // all addresses of one endpoint are the same pod: the first is enough, as in kube-proxy
        endpoints.set(`${address}|${target.port}`, {
          address,
          port: target.port,
          account: pod.account,
          zone,
          hintZones: endpoint.hintZones,
          workload,
        });
      }
    }
    result.set(
      port,
      [...endpoints.values()].sort((a, b) => compareText(a.address, b.address) || a.port - b.port),
    );
  }
  return result;
}

/** A dual-stack pod is listed once in each family; taking both would count it twice. */
function primaryFamily(object: ServiceObject, backed: readonly Backed[]): 'IPv4' | 'IPv6' {
  const [clusterIP] = object.clusterIPs;
  if (!object.headless && clusterIP !== undefined) return clusterIP.includes(':') ? 'IPv6' : 'IPv4';
  return backed.some(({ slice }) => slice.addressType === 'IPv4') || backed.length === 0 ? 'IPv4' : 'IPv6';
}
