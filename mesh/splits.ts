/**
 * TrafficSplits → weighted backends by apex. One split an apex, the oldest; backends are services of the apex's namespace on
 * the apex's port; a backend that cannot be used is reported and its share goes to the rest. A backend's own split is not
 * followed, so an apex may be its own backend.
 */
import type { MatchIndex } from './access.ts';
import { parseServiceName } from './hosts.ts';
import type { MeshPort, MeshService, NameKey, Split } from './model.ts';
import type { MeshObjects, TrafficSplitObject } from './objects.ts';
import { compareAge, compareText } from './order.ts';
import { type Problem, refOf } from './problem.ts';
import { isHttp } from './protocols.ts';

/** Every service that some split names as its apex, valid or not. */
export function splitApexes(objects: MeshObjects): ReadonlySet<NameKey> {
  return new Set(objects.trafficSplits.flatMap((split) => apexKey(split, objects.config.clusterDomain) ?? []));
}

export function buildSplits(
  objects: MeshObjects,
  services: ReadonlyMap<NameKey, MeshService>,
  matches: MatchIndex,
  problems: Problem[],
): Map<NameKey, Split> {
  const splits = new Map<NameKey, { split: Split; object: TrafficSplitObject }>();
  const { clusterDomain } = objects.config;
  for (const object of objects.trafficSplits.toSorted(compareAge)) {
    const report = reporter(object, problems);
    const key = apexKey(object, clusterDomain);
    if (key === undefined) {
      report(
        'split-apex-invalid',
        'spec.service',
        `"${object.service}" names no service of namespace ${object.namespace}: the split is ignored.`,
        'Use the name of a service of the same namespace, or its host name.',
      );
      continue;
    }
    const apex = services.get(key);
    if (apex === undefined) {
      report(
        'split-apex-missing',
        'spec.service',
        `There is no service ${key}: the split has no effect.`,
        'Create it.',
      );
      continue;
    }
    const earlier = splits.get(key);
    if (earlier !== undefined) {
      report(
        'split-apex-taken',
        'spec.service',
        `TrafficSplit ${earlier.object.name} is older and splits ${key} already: this one is ignored.`,
        'Delete one of the two.',
      );
      continue;
    }
    splits.set(key, { object, split: buildSplit(object, apex, { services, clusterDomain, matches, report }) });
  }
  return new Map([...splits].sort(([a], [b]) => compareText(a, b)).map(([key, { split }]) => [key, split]));
}

/** Whether some backend answers to the names of an apex that it did not know before. */
export function hasNewBackends(before: ReadonlyMap<NameKey, Split>, after: ReadonlyMap<NameKey, Split>): boolean {
  for (const [apex, { backends }] of after) {
    for (const [port, shares] of backends) {
      const known = before.get(apex)?.backends.get(port) ?? [];
      if (shares.some(({ service }) => !known.some((entry) => entry.service === service))) return true;
    }
  }
  return false;
}

type Report = (key: string, field: string, message: string, remedy: string) => void;

function reporter(object: TrafficSplitObject, problems: Problem[]): Report {
  return (key, field, message, remedy) => {
    problems.push({ key, object: refOf('TrafficSplit', object), field, message, remedy });
  };
}

/** A split may only steer calls to services of its own namespace: otherwise anybody could take anybody's traffic. */
function apexKey(object: TrafficSplitObject, clusterDomain: string): NameKey | undefined {
  const apex = parseServiceName(object.service, object.namespace, clusterDomain);
  return apex?.namespace === object.namespace ? `${apex.namespace}/${apex.name}` : undefined;
}

interface SplitContext {
  readonly services: ReadonlyMap<NameKey, MeshService>;
  readonly clusterDomain: string;
  readonly matches: MatchIndex;
  readonly report: Report;
}

function buildSplit(object: TrafficSplitObject, apex: MeshService, context: SplitContext): Split {
  const backends = new Map<number, { service: NameKey; weight: number }[]>();
  for (const port of apex.ports) backends.set(port.port, portBackends(object, port, context));
  return {
    apex: apex.key,
    matches: splitMatches(object, context),
    conditional: object.matches.length > 0,
    backends,
  };
}

function portBackends(object: TrafficSplitObject, port: MeshPort, context: SplitContext) {
  const weights = new Map<NameKey, number>();
  for (const [index, { service: text, weight }] of object.backends.entries()) {
    const service = usableBackend(object, index, text, port, context);
    if (service === undefined) continue;
    weights.set(service, (weights.get(service) ?? 0) + (weight > 0 ? Math.round(weight) : 0));
  }
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  const scale = total > MAX_TOTAL_WEIGHT ? MAX_TOTAL_WEIGHT / total : 1;
  const scaled = (weight: number): number => (weight === 0 ? 0 : Math.max(1, Math.floor(weight * scale)));
  return [...weights]
    .map(([service, weight]) => ({ service, weight: scaled(weight) }))
    .sort((a, b) => compareText(a.service, b.service));
}

/**
 * Envoy refuses all routes of a port, of every service on it, when the weights of one come to more than 32 bits hold. Above
 * this, well below that, they keep their proportions.
 */
const MAX_TOTAL_WEIGHT = 1_000_000_000;

function usableBackend(
  object: TrafficSplitObject,
  index: number,
  text: string,
  apexPort: MeshPort,
  { services, clusterDomain, report }: SplitContext,
): NameKey | undefined {
  const field = `spec.backends[${index}].service`;
  const name = parseServiceName(text, object.namespace, clusterDomain);
  const key = name?.namespace === object.namespace ? `${name.namespace}/${name.name}` : undefined;
  const backend = key === undefined ? undefined : services.get(key);
  if (backend === undefined) {
    report(
      'split-backend-missing',
      field,
      `The mesh has no service ${object.namespace}/${text}: its share goes to the other backends.`,
      'Create the service, or join its pods to the mesh, or remove the backend.',
    );
    return undefined;
  }
  const port = backend.ports.find((entry) => entry.port === apexPort.port);
  if (port === undefined) {
    report(
      'split-backend-port-missing',
      field,
      `Service ${backend.key} has no port ${apexPort.port}, which ${object.service} is called on: its share goes to the others.`,
      `Give the service port ${apexPort.port}; its targetPort may be another.`,
    );
    return undefined;
  }
  if (isHttp(port.protocol) !== isHttp(apexPort.protocol)) {
    report(
      'split-backend-protocol',
      field,
      `Port ${port.port} of ${backend.key} is ${port.protocol}, that of ${object.service} ${apexPort.protocol}: its share goes to the others.`,
      'Declare the same protocol on both services.',
    );
    return undefined;
  }
  return backend.key;
}

function splitMatches(object: TrafficSplitObject, { matches, report }: SplitContext) {
  return object.matches.flatMap(({ kind, name }, index) => {
    const group = kind === 'HTTPRouteGroup' ? matches.get(`${object.namespace}/${name}`) : undefined;
    if (group === undefined) {
      report(
        'route-missing',
        `spec.matches[${index}].name`,
        `There is no HTTPRouteGroup ${object.namespace}/${name}: the split applies to none of its requests.`,
        'Create it, or correct the name.',
      );
      return [];
    }
    return [...group.values()].filter((match) => match !== undefined);
  });
}
