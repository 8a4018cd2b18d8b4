/**
 * Cluster objects → the model of the mesh, and what is wrong in them. Total: whatever a user applied, the rest of the mesh
 * keeps its configuration and the fault comes out as a problem.
 */
import { buildAccess, indexMatches } from './access.ts';
import { PartTable } from './intern.ts';
import { buildOwners } from './owners.ts';
import { emptyMemo, type MeshModel, type MeshService, type NameKey } from './model.ts';
import type { MeshObjects, PodObject } from './objects.ts';
import { compareText } from './order.ts';
import { buildPlaintext } from './plaintext.ts';
import { type Problem, sortProblems } from './problem.ts';
import { selectPods } from './selectors.ts';
import { buildService } from './services.ts';
import { buildSplits, splitApexes } from './splits.ts';

export interface CompileResult {
  readonly model: MeshModel;
  /** Sorted by object and field. */
  readonly problems: readonly Problem[];
}

/** `previous` is the model before the change: parts that come out equal are taken from it. */
export function compile(objects: MeshObjects, previous?: MeshModel): CompileResult {
  const problems: Problem[] = [];
  const monitored = new Set(objects.namespaces.filter((entry) => entry.monitored).map(({ name }) => name));
  const inMesh = <T extends { readonly namespace: string }>(items: readonly T[]): T[] =>
    items.filter(({ namespace }) => monitored.has(namespace));
  const policies: MeshObjects = {
    ...objects,
    trafficTargets: inMesh(objects.trafficTargets),
    httpRouteGroups: inMesh(objects.httpRouteGroups),
    tcpRoutes: inMesh(objects.tcpRoutes),
    trafficSplits: inMesh(objects.trafficSplits),
  };
  const pods = new Map(inMesh(objects.pods).map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
  const zones = new Map(objects.nodes.filter(({ zone }) => zone !== '').map(({ name, zone }) => [name, zone]));
  const matches = indexMatches(policies.httpRouteGroups, problems);
  const { services, servicesOf, selected } = buildServices(policies, inMesh, { pods, zones, problems });
  const splits = buildSplits(policies, services, matches, problems);
  const apexesOf = new Map<NameKey, NameKey[]>();
  for (const split of splits.values()) {
    const backends = new Set([...split.backends.values()].flat().map(({ service }) => service));
    for (const backend of backends)
      apexesOf.set(backend, [...(apexesOf.get(backend) ?? []), split.apex].sort(compareText));
  }
  const parts = previous?.parts ?? new PartTable();
  parts.nextRevision();
  const model: MeshModel = {
    settings: objects.config,
    services,
    pods,
    zones,
    access: buildAccess(policies, matches, problems),
    splits,
    apexesOf,
    selected,
    servicesOf,
    owners: buildOwners(services, problems),
    plaintext: buildPlaintext({ namespaces: objects.namespaces, pods, services, servicesOf }, problems),
    parts,
    memo: emptyMemo(),
  };
  return { model, problems: sortProblems(problems) };
}

interface ServiceContext {
  readonly pods: ReadonlyMap<NameKey, PodObject>;
  readonly zones: ReadonlyMap<string, string>;
  readonly problems: Problem[];
}

function buildServices(
  objects: MeshObjects,
  inMesh: <T extends { readonly namespace: string }>(items: readonly T[]) => T[],
  { pods, zones, problems }: ServiceContext,
): Pick<MeshModel, 'services' | 'servicesOf' | 'selected'> {
  const slices = Map.groupBy(inMesh(objects.endpointSlices), (slice) => `${slice.namespace}/${slice.service}`);
  const apexes = splitApexes(objects);
  const select = selectPods([...pods.values()]);
  const services = new Map<NameKey, MeshService>();
  const servicesOf = new Map<NameKey, NameKey[]>();
  const selected = new Map<NameKey, readonly PodObject[]>();
  const byKey = inMesh(objects.services)
    .map((object) => ({ object, key: `${object.namespace}/${object.name}` }))
    .sort((a, b) => compareText(a.key, b.key));
  for (const { object, key } of byKey) {
    selected.set(key, select(object.namespace, object.selector));
    const result = buildService(object, {
      clusterDomain: objects.config.clusterDomain,
      selected: selected.get(key) ?? [],
      slices: slices.get(key) ?? [],
      pod: (pod) => pods.get(pod),
      zoneOfNode: (node) => zones.get(node),
      apex: apexes.has(key),
    });
    problems.push(...result.problems);
    if (result.service === undefined) continue;
    services.set(key, result.service);
    for (const pod of result.pods) servicesOf.set(pod, [...(servicesOf.get(pod) ?? []), key]);
  }
  return { services, servicesOf, selected };
}
