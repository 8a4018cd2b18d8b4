/**
 * The opt-in for moving callers into the mesh: which pods also take plaintext calls from outside it, and on which ports.
 *
 * A port has one plaintext chain, since a call without TLS names no service: where services of one pod disagree about a
 * port, the oldest decides.
 */
import { podTargets } from './inbound.ts';
import type { MeshModel, MeshPort, MeshService, NameKey } from './model.ts';
import type { NamespaceObject, PodObject } from './objects.ts';
import { compareAge, compareText, sortedNumbers } from './order.ts';
import { type ObjectRef, type Problem, refOf } from './problem.ts';
import { isHttp } from './protocols.ts';
import type { MeshProtocol, PlaintextPort } from './view.ts';

/** Annotation of a pod (template) or a namespace; the pod's wins. */
export const ACCEPT_PLAINTEXT = 'openservicemesh.io/accept-plaintext';

export interface PlaintextSources extends Pick<MeshModel, 'pods' | 'services' | 'servicesOf'> {
  readonly namespaces: readonly NamespaceObject[];
}

/** Open ports of each pod that has any. */
export function buildPlaintext(
  sources: PlaintextSources,
  problems: Problem[],
): ReadonlyMap<NameKey, readonly PlaintextPort[]> {
  const found = new Map<string, Problem>();
  const report = (problem: Problem): void => {
    const { key, object, field } = problem;
    // Many pods have the same service, and the same fault.
    const id = [key, object.kind, object.namespace, object.name, field].join(' ');
    if (!found.has(id)) found.set(id, problem);
  };
  const wished = wishes(sources, report);
  const open = new Map<NameKey, readonly PlaintextPort[]>();
  for (const [key, pod] of wished) {
    const services = (sources.servicesOf.get(key) ?? []).flatMap((name) => sources.services.get(name) ?? []);
    const ports = openPorts(
      pod,
      services.toSorted((a, b) => compareAge(a.object, b.object)),
      report,
    );
    if (ports.length > 0) open.set(key, ports);
  }
  problems.push(...found.values());
  return open;
}

/** A workload that accepts plaintext now. */
export interface PlaintextWorkload {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly pods: number;
  /** Sorted. */
  readonly ports: readonly number[];
}

/** Everybody who accepts plaintext now, by namespace, kind and name. */
export function plaintextWorkloads(model: MeshModel): readonly PlaintextWorkload[] {
  const groups = new Map<string, PlaintextWorkload>();
  for (const [key, open] of model.plaintext) {
    const pod = model.pods.get(key);
    if (pod === undefined) continue;
    const { kind, name } = pod.workload;
    const id = `${pod.namespace}/${kind}/${name}`;
    const before = groups.get(id) ?? { namespace: pod.namespace, kind, name, pods: 0, ports: [] };
    const ports = sortedNumbers([...before.ports, ...open.map(({ targetPort }) => targetPort)]);
    groups.set(id, { ...before, pods: before.pods + 1, ports });
  }
  return [...groups].sort(([a], [b]) => compareText(a, b)).map(([, workload]) => workload);
}

/** Meshed pods whose own annotation, or else their namespace's, asks for it. A value that says nothing means off. */
function wishes(sources: PlaintextSources, report: (problem: Problem) => void): [NameKey, PodObject][] {
  const namespaces = new Map(sources.namespaces.filter(({ monitored }) => monitored).map((it) => [it.name, it]));
  for (const { name, acceptPlaintext } of namespaces.values()) {
    if (acceptPlaintext === 'unreadable') report(unknownValue({ kind: 'Namespace', namespace: '', name }));
  }
  const wished: [NameKey, PodObject][] = [];
  const unreadable = new Map<string, PodObject>();
  for (const [key, pod] of sources.pods) {
    if (!pod.meshed) continue;
    const { acceptPlaintext: own, workload } = pod;
    if (own === 'unreadable') {
      // The first pod speaks for all that were made from the same template.
      const template = `${pod.namespace}/${workload.kind}/${workload.name}`;
      const first = unreadable.get(template);
      if (first === undefined || compareText(pod.name, first.name) < 0) unreadable.set(template, pod);
    }
    const wish = own === 'unset' ? namespaces.get(pod.namespace)?.acceptPlaintext : own;
    if (wish === 'on') wished.push([key, pod]);
  }
  for (const pod of unreadable.values()) report(unknownValue(refOf('Pod', pod)));
  // Sorted here, where they are few: of what several pods have wrong alike, the first is told.
  return wished.sort(([a], [b]) => compareText(a, b));
}

interface Claim {
  readonly service: MeshService;
  readonly port: MeshPort;
}

/** `services` are the pod's, oldest first. */
function openPorts(
  pod: PodObject,
  services: readonly MeshService[],
  report: (problem: Problem) => void,
): PlaintextPort[] {
  const claims = new Map<number, Claim>();
  for (const service of services) {
    for (const port of service.ports) {
      if (port.protocol === 'tcp-server-first') report(serverFirst(service, port));
      for (const target of podTargets(port, pod)) {
        if (isSidecarPort(target)) continue;
        const first = claims.get(target);
        if (first === undefined) claims.set(target, { service, port });
        else if (port.protocol !== 'tcp-server-first' && kindOf(first.port.protocol) !== kindOf(port.protocol)) {
          report(conflict(service, port, { first, target }));
        }
      }
    }
  }
  return [...claims]
    .flatMap(([targetPort, { port }]) =>
      port.protocol === 'tcp-server-first' ? [] : [{ targetPort, protocol: port.protocol }],
    )
    .sort((a, b) => a.targetPort - b.targetPort);
}

function kindOf(protocol: MeshProtocol): string {
  return isHttp(protocol) ? 'http' : protocol;
}

/** Ports of the sidecar itself (admin, listeners, metrics, probes): an opt-in for the application must not reach them. */
function isSidecarPort(port: number): boolean {
  const probes = (port >= 15901 && port <= 15904) || (port >= 15910 && port <= 15949);
  return [15000, 15001, 15003, 15010].includes(port) || probes;
}

function unknownValue(object: ObjectRef): Problem {
  return {
    key: 'plaintext-value-unknown',
    object,
    field: `metadata.annotations[${ACCEPT_PLAINTEXT}]`,
    message: `The annotation ${ACCEPT_PLAINTEXT} says neither yes nor no: plaintext from outside the mesh is refused.`,
    remedy: 'Write enabled, yes or true, or disabled, no or false.',
  };
}

/** Until the caller has spoken, a plaintext connection cannot be told from one that will begin with TLS. */
function serverFirst(service: MeshService, { port }: MeshPort): Problem {
  return {
    key: 'plaintext-server-first',
    object: refOf('Service', service.object),
    field: portField(service, port),
    message: `Port ${port} is tcp-server-first, which cannot take plaintext beside mTLS: calls to it from outside the mesh stay refused.`,
    remedy: 'Bring the callers of this service into the mesh first, and its own pods after them.',
  };
}

function conflict(
  service: MeshService,
  { port, protocol }: MeshPort,
  { first, target }: { readonly first: Claim; readonly target: number },
): Problem {
  const owner = `port ${first.port.port} (${first.port.protocol}) of ${first.service.key}`;
  return {
    key: 'plaintext-port-conflict',
    object: refOf('Service', service.object),
    field: portField(service, port),
    message: `Port ${port} (${protocol}) leads to port ${target} of the pods, as does ${owner}, which is older and decides how plaintext from outside the mesh is taken there.`,
    remedy: 'Declare the same protocol on both, or give them different target ports.',
  };
}

function portField({ object }: MeshService, port: number): string {
  return `spec.ports[${object.ports.findIndex((entry) => entry.port === port && entry.protocol === 'TCP')}]`;
}
