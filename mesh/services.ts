/**
 * Which services are the mesh's, and what stands behind them.
 *
 * A service of a monitored namespace is the mesh's when one of its pods carries a sidecar, or when its selector matches no
 * pod at all: a service scaled to zero must not be called in plaintext meanwhile. It is not the mesh's when it has no
 * selector and no meshed endpoint (`kubernetes.default`), or when pods match and none of them has a sidecar.
 */
import type { AccountKey } from './identity.ts';
import { digest } from './intern.ts';
import { serverName } from './hosts.ts';
import type { MeshPort, MeshService, NameKey, ServiceAddress, ServiceEndpoint } from './model.ts';
import type { EndpointObject, EndpointSliceObject, PodObject, ServiceObject } from './objects.ts';
import { compareText, sortedNumbers, sortedSet } from './order.ts';
import { type Problem, refOf } from './problem.ts';
import { portProtocol } from './protocols.ts';

/** What of the cluster one service is made from. */
export interface ServiceSources {
  readonly clusterDomain: string;
  /** Pods that the selector matches; empty when there is no selector. */
  readonly selected: readonly PodObject[];
  /** Its slices, in any order. */
  readonly slices: readonly EndpointSliceObject[];
  readonly pod: (key: NameKey) => PodObject | undefined;
  readonly zoneOfNode: (node: string) => string | undefined;
  /** True for the apex of a TrafficSplit, which is the mesh's whatever stands behind it. */
  readonly apex: boolean;
}

export interface ServiceResult {
  /** Undefined when the service is not the mesh's. */
  readonly service: MeshService | undefined;
  /** Keys of the meshed pods behind it, ready or not. */
  readonly pods: readonly NameKey[];
  readonly problems: readonly Problem[];
}

interface Backed {
  readonly slice: EndpointSliceObject;
  readonly endpoint: EndpointObject;
  readonly pod: PodObject;
}

export function buildService(object: ServiceObject, sources: ServiceSources): ServiceResult {
  const none: ServiceResult = { service: undefined, pods: [], problems: [] };
  if (object.type === 'ExternalName') return none;
  const slices = sources.slices.toSorted((a, b) => compareText(a.name, b.name));
  const backed = slices.flatMap((slice) => backedEndpoints(slice, sources));
  const endpointCount = slices.reduce((count, slice) => count + slice.endpoints.length, 0);
  const pods = new Map<NameKey, PodObject>();
  for (const pod of [...sources.selected, ...backed.map((entry) => entry.pod)]) pods.set(podKey(pod), pod);
  const meshed = [...pods.values()].filter((pod) => pod.meshed);
  const scaledToZero = Object.keys(object.selector).length > 0 && pods.size === 0;
  if (meshed.length === 0 && !scaledToZero && !sources.apex) return none;

  const problems: Problem[] = [];
  const strangers = [...pods.values()].filter((pod) => !pod.meshed).length + (endpointCount - backed.length);
  if (meshed.length > 0 && strangers > 0) problems.push(partlyMeshed(object));
  const { ports, closedPorts } = buildPorts(object, slices, meshed, problems);
  const meshedBacked = backed.filter((entry) => entry.pod.meshed);
  const shape = {
    ports,
    closedPorts,
    accounts: sortedSet(meshed.map((pod) => pod.account)) as AccountKey[],
    addresses: object.headless ? podAddresses(meshedBacked) : clusterAddresses(object),
    hostnames: object.headless ? sortedSet(meshedBacked.flatMap(({ endpoint }) => endpoint.hostname ?? [])) : [],
  };
  return {
    service: {
      object,
      key: `${object.namespace}/${object.name}`,
      namespace: object.namespace,
      name: object.name,
      sni: serverName(object.name, object.namespace, sources.clusterDomain),
      ...shape,
      endpoints: buildEndpoints(object, ports, meshedBacked, sources),
      shape: digest(JSON.stringify(shape), String(object.headless)),
    },
    pods: meshed.map(podKey).sort(compareText),
    problems,
  };
}

function podKey(pod: PodObject): NameKey {
  return `${pod.namespace}/${pod.name}`;
}

/** Endpoints that are a pod that we know; any other cannot speak mTLS with us. */
function backedEndpoints(slice: EndpointSliceObject, sources: ServiceSources): Backed[] {
  return slice.endpoints.flatMap((endpoint) => {
    const pod = endpoint.pod === undefined ? undefined : sources.pod(`${slice.namespace}/${endpoint.pod}`);
    return pod === undefined ? [] : [{ slice, endpoint, pod }];
  });
}

function buildPorts(
  object: ServiceObject,
  slices: readonly EndpointSliceObject[],
  meshed: readonly PodObject[],
  problems: Problem[],
): { ports: MeshPort[]; closedPorts: number[] } {
  const ports = new Map<number, MeshPort>();
  const closedPorts: number[] = [];
  for (const [index, port] of object.ports.entries()) {
    if (port.protocol !== 'TCP' || ports.has(port.port)) continue;
    const protocol = portProtocol(port);
    if (protocol === undefined) {
      closedPorts.push(port.port);
      problems.push({
        key: 'port-protocol-unknown',
        object: refOf('Service', object),
        field: `spec.ports[${index}].appProtocol`,
        message: `Port ${port.port} has the appProtocol "${port.appProtocol}", which the mesh does not speak: calls to it are closed.`,
        remedy: 'Use http, http2, grpc, tcp or tcp-server-first; an application that speaks TLS itself is tcp.',
      });
      continue;
    }
    const { targetPort } = port;
    const targetPorts =
      typeof targetPort === 'number'
        ? [targetPort]
        : sortedNumbers([
            ...slices.flatMap((slice) =>
              slice.ports.filter(({ name }) => name === port.name).map((entry) => entry.port),
            ),
            ...meshed.flatMap((pod) => pod.namedPorts[targetPort] ?? []),
          ]);
    ports.set(port.port, { port: port.port, protocol, targetPort, targetPorts });
  }
  return {
    ports: [...ports.values()].sort((a, b) => a.port - b.port),
    closedPorts: sortedNumbers(closedPorts.filter((port) => !ports.has(port))),
  };
}

function clusterAddresses(object: ServiceObject): ServiceAddress[] {
  return sortedSet(object.clusterIPs).map((address) => ({ address, account: undefined }));
}

/** Not only the ready ones: a caller may hold an address that DNS gave it a moment ago. */
function podAddresses(backed: readonly Backed[]): ServiceAddress[] {
  const accounts = new Map(
    backed.flatMap(({ endpoint, pod }) => endpoint.addresses.map((address) => [address, pod.account] as const)),
  );
  return [...accounts]
    .map(([address, account]) => ({ address, account }))
    .sort((a, b) => compareText(a.address, b.address));
}

function buildEndpoints(
  object: ServiceObject,
  ports: readonly MeshPort[],
  backed: readonly Backed[],
  sources: ServiceSources,
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

function partlyMeshed(object: ServiceObject): Problem {
  return {
    key: 'service-partly-meshed',
    object: refOf('Service', object),
    field: 'spec.selector',
    message: 'Some pods behind this service have no sidecar: they get no traffic from the mesh.',
    remedy:
      'Restart the pods that were started before their namespace joined the mesh, or take them out of the selector.',
  };
}
