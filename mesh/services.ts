/**
 * Which services are the mesh's, and what stands behind them.
 *
 * A service of a monitored namespace is the mesh's when one of its pods carries a sidecar, or when its selector matches no
 * pod at all: a service scaled to zero must not be called in plaintext meanwhile. It is not the mesh's when it has no
 * selector and no meshed endpoint (`kubernetes.default`), or when pods match and none of them has a sidecar.
 */
import { backedEndpoints, buildEndpoints, clusterAddresses, podAddresses, type PodSource } from './backing.ts';
import type { AccountKey } from './identity.ts';
import { digest } from './intern.ts';
import { serverName } from './hosts.ts';
import type { MeshPort, MeshService, NameKey } from './model.ts';
import type { EndpointSliceObject, PodObject, ServiceObject, ServicePortObject } from './objects.ts';
import { compareText, sortedNumbers, sortedSet } from './order.ts';
import { type Problem, refOf } from './problem.ts';
import { isHttp, portProtocol } from './protocols.ts';

/** What of the cluster one service is made from. */
export interface ServiceSources extends PodSource {
  readonly clusterDomain: string;
  /** Pods that the selector matches; empty when there is no selector. */
  readonly selected: readonly PodObject[];
  /** Its slices, in any order. */
  readonly slices: readonly EndpointSliceObject[];
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
      shape: digest(JSON.stringify(shape), JSON.stringify(problems)),
    },
    pods: meshed.map(podKey).sort(compareText),
    problems,
  };
}

function podKey(pod: PodObject): NameKey {
  return `${pod.namespace}/${pod.name}`;
}

function buildPorts(
  object: ServiceObject,
  slices: readonly EndpointSliceObject[],
  meshed: readonly PodObject[],
  problems: Problem[],
): { ports: MeshPort[]; closedPorts: number[] } {
  const ports: MeshPort[] = [];
  const closedPorts: number[] = [];
  for (const [index, source] of object.ports.entries()) {
    if (source.protocol !== 'TCP') continue;
    const protocol = portProtocol(source);
    if (protocol === undefined) {
      closedPorts.push(source.port);
      problems.push(unknownProtocol(object, index, source));
      continue;
    }
    const { port, targetPort } = source;
    const targetPorts = resolveTarget(source, slices, meshed);
    if (targetPorts.some((target) => SIDECAR_PORTS.includes(target))) {
      closedPorts.push(port);
      problems.push(reservedTarget(object, index, targetPorts));
      continue;
    }
    const rival = ports.find(
      (other) =>
        isHttp(other.protocol) !== isHttp(protocol) && other.targetPorts.some((target) => targetPorts.includes(target)),
    );
    if (rival !== undefined) {
      closedPorts.push(port);
      problems.push(conflictingProtocol(object, index, rival, protocol));
      continue;
    }
    ports.push({ port, protocol, targetPort, targetPorts });
  }
  return { ports: ports.sort((a, b) => a.port - b.port), closedPorts: sortedNumbers(closedPorts) };
}

/** What the sidecar itself listens on where it would look for the application: its admin interface, and its listeners. */
const SIDECAR_PORTS: readonly number[] = [15000, 15001, 15003];

function reservedTarget(object: ServiceObject, index: number, targetPorts: readonly number[]): Problem {
  return {
    key: 'target-port-reserved',
    object: refOf('Service', object),
    field: `spec.ports[${index}].targetPort`,
    message: `Port ${object.ports[index]?.port} leads to port ${targetPorts.join(', ')} of the pods, which is the sidecar's own: calls to it are closed.`,
    remedy: `Let the application listen on another port than ${SIDECAR_PORTS.join(', ')}.`,
  };
}

/** A named port is what the endpoints say it is, and before a pod has any, what its containers say. */
function resolveTarget(
  { name, targetPort }: ServicePortObject,
  slices: readonly EndpointSliceObject[],
  meshed: readonly PodObject[],
): number[] {
  if (typeof targetPort === 'number') return [targetPort];
  return sortedNumbers([
    ...slices.flatMap((slice) => slice.ports.filter((entry) => entry.name === name).map((entry) => entry.port)),
    ...meshed.flatMap((pod) => pod.namedPorts[targetPort] ?? []),
  ]);
}

function unknownProtocol(object: ServiceObject, index: number, { port, appProtocol }: ServicePortObject): Problem {
  return {
    key: 'port-protocol-unknown',
    object: refOf('Service', object),
    field: `spec.ports[${index}].appProtocol`,
    message: `Port ${port} has the appProtocol "${appProtocol}", which the mesh does not speak: calls to it are closed.`,
    remedy: 'Use http, http2, grpc, tcp or tcp-server-first; an application that speaks TLS itself is tcp.',
  };
}

/** One service has one server name, so its pods could not tell the two protocols apart. */
function conflictingProtocol(object: ServiceObject, index: number, rival: MeshPort, protocol: string): Problem {
  return {
    key: 'port-protocol-conflict',
    object: refOf('Service', object),
    field: `spec.ports[${index}]`,
    message: `Ports ${object.ports[index]?.port} (${protocol}) and ${rival.port} (${rival.protocol}) lead to the same target port: calls to the first are closed.`,
    remedy: 'Declare the same protocol on both ports, or give them different target ports.',
  };
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
