/** The cluster as the controller sees it: one reflector a kind, each object parsed once when it arrives. */
import { isDeepStrictEqual } from 'node:util';
import {
  apiVersionOf,
  EndpointSlices,
  HttpRouteGroups,
  MeshConfigs,
  MeshRootCertificates,
  Namespaces,
  Nodes,
  Pods,
  ServiceAccounts,
  Services,
  TcpRoutes,
  TrafficSplits,
  TrafficTargets,
} from '#kubernetes/kinds.ts';
import type { RootCertificate } from '#certificates/choice.ts';
import type { Kind, KubeObject, ObjectKey, Reflector, ReflectorOptions, Store } from '#kubernetes/types.ts';
import type { AccountKey } from '#mesh/identity.ts';
import type { NameKey } from '#mesh/model.ts';
import type { EndpointSliceObject, MeshObjects, MeshSettings, PodObject } from '#mesh/objects.ts';
import type { ObjectRef, Problem, ProblemKind } from '#mesh/problem.ts';
import { parseNamespace, parseNode } from './parse/cluster.ts';
import { type ControllerSettings, parseSettings } from './parse/config.ts';
import { invalid } from './parse/invalid.ts';
import { parsePod } from './parse/pod.ts';
import { rootCertificate } from './parse/root-certificate.ts';
import { httpRouteGroup, type Parsed, tcpRoute, trafficSplit, trafficTarget } from './parse/policies.ts';
import { parseEndpointSlice, parseService } from './parse/service.ts';
import type { Change } from './pending.ts';
import { createSliceIndex, serviceOf } from './slice-index.ts';
import { subjects } from './subjects.ts';

const MESH_CONFIG = 'osm-mesh-config';

export interface StoresOptions {
  /** `createReflector` bound to the client and the log. */
  readonly reflect: <T>(options: Pick<ReflectorOptions<T>, 'kind' | 'list' | 'transform'>) => Reflector<T>;
  readonly namespace: string;
  readonly meshName: string;
  readonly clusterDomain: string;
  /** Called after something that a compile reads has changed. */
  readonly onChange: (change: Change) => void;
  /** Called once when every kind has been listed: an empty list says nothing by itself. */
  readonly onSynced: () => void;
  /** Called after the MeshConfig changed in any way, its status too. */
  readonly onConfig: () => void;
  /** Called after a MeshRootCertificate has changed. */
  readonly onRootCertificates?: () => void;
  /** Called when a MeshConfig cannot be used; the last good one stays. */
  readonly onConfigError: (errors: readonly { readonly field: string; readonly message: string }[]) => void;
}

export interface Stores {
  start(): void;
  stop(): void;
  /** Kinds that have not been listed yet, and `MeshConfig` while there is no valid one. */
  waitingFor(): string[];
  /** Of the last valid MeshConfig. */
  readonly settings: () => ControllerSettings | undefined;
  /** As it is stored, valid or not; what Events are about. */
  meshConfig(): KubeObject | undefined;
  /** Of the control plane's namespace. */
  rootCertificates(): RootCertificate[];
  /** Of every namespace, as they are stored: those elsewhere are told that they count for nothing. */
  storedRootCertificates(): KubeObject[];
  /** As it is stored: what Events are about. */
  rootCertificate(name: string): KubeObject | undefined;
  objects(settings: MeshSettings): MeshObjects;
  hasNamespace(name: string): boolean;
  /** All slices of one service (`<namespace>/<name>`). */
  slicesOf(service: NameKey): EndpointSliceObject[];
  /** Of objects that could not be parsed at all, in namespaces of the mesh; and of the MeshConfig. */
  problems(): Problem[];
  /** What an Event about an object needs to know of it; undefined when it is gone. */
  subject(object: ObjectRef): KubeObject | undefined;
  readonly pods: Store<PodObject>;
  /** UID by `<namespace>/<name>`. */
  readonly accounts: Store<string>;
  accountUid(account: AccountKey): string | undefined;
  zoneOf(pod: PodObject): string;
}

export function createStores(options: StoresOptions): Stores {
  const { reflect, namespace, meshName, clusterDomain } = options;
  const reflectors: { kind: string; reflector: Pick<Reflector<unknown>, 'start' | 'stop' | 'isSynced' | 'synced'> }[] =
    [];
  let settings: ControllerSettings | undefined;
  let configProblems: readonly Problem[] = [];

  function watch<T>(kind: Kind, transform: (object: KubeObject) => T | undefined): Store<T> {
    const reflector = reflect({ kind, transform });
    reflectors.push({ kind: kind.kind, reflector });
    return reflector.store;
  }

  /** A compile reads it: says so when it changed, and the mesh can see the change. */
  function compiled<T>(kind: Kind, store: Store<T>, changeOf?: (object: T) => Change): Store<T> {
    store.subscribe((change) => {
      // Most updates of a pod or a slice touch nothing that the mesh reads (conditions, restarts, annotations).
      if (change.type === 'updated' && isDeepStrictEqual(change.object, change.previous)) return;
      // What is in no monitored namespace is nothing to a compile; a namespace that joins is a change of its own.
      if (kind.namespaced && namespaces.get(namespaceOf(change.key))?.monitored !== true) return;
      options.onChange(changeOf?.(change.type === 'deleted' ? change.previous : change.object) ?? { kind: kind.kind });
    });
    return store;
  }

  const config = reflect({
    kind: MeshConfigs,
    list: { namespace },
    transform: (object) => (object.metadata.name === MESH_CONFIG ? object : undefined),
  });
  reflectors.push({ kind: MeshConfigs.kind, reflector: config });
  config.store.subscribe((change) => {
    // Without a MeshConfig the running mesh stays as it was: the operator takes the control plane away, not we.
    if (change.type === 'deleted') return;
    const result = parseSettings(change.object, { namespace, domain: clusterDomain, meshName });
    const before = configProblems;
    configProblems = result.ok
      ? []
      : invalid('MeshConfig', change.object, result.errors, 'until then the last good one stays in force');
    if (!result.ok && !isDeepStrictEqual(configProblems, before)) options.onConfigError(result.errors);
    if (result.ok && !isDeepStrictEqual(result.settings, settings)) {
      settings = result.settings;
      options.onChange({ kind: MeshConfigs.kind });
    }
    options.onConfig();
  });

  const roots = reflect({ kind: MeshRootCertificates, transform: (object) => object });
  reflectors.push({ kind: MeshRootCertificates.kind, reflector: roots });
  roots.store.subscribe(() => options.onRootCertificates?.());

  const namespaces = watch(Namespaces, (object) => parseNamespace(object, meshName));
  compiled(Namespaces, namespaces);
  const services = compiled(Services, watch(Services, parseService));
  const slices = watch(EndpointSlices, parseEndpointSlice);
  // First, so that whoever is told of a change finds the slices as they are now.
  const slicesOf = createSliceIndex(slices);
  compiled(EndpointSlices, slices, (slice) => ({ kind: EndpointSlices.kind, service: serviceOf(slice) }));
  const pods = compiled(Pods, watch(Pods, parsePod));
  const nodes = compiled(Nodes, watch(Nodes, parseNode));
  const accounts = watch(ServiceAccounts, ({ metadata }) => metadata.uid);
  const targets = compiled(TrafficTargets, watch(TrafficTargets, trafficTarget));
  const groups = compiled(HttpRouteGroups, watch(HttpRouteGroups, httpRouteGroup));
  const tcpRoutes = compiled(TcpRoutes, watch(TcpRoutes, tcpRoute));
  const splits = compiled(TrafficSplits, watch(TrafficSplits, trafficSplit));
  const stored: Readonly<Record<ProblemKind, Store<unknown>>> = {
    MeshConfig: config.store,
    Namespace: namespaces,
    Pod: pods,
    Service: services,
    HTTPRouteGroup: groups,
    TCPRoute: tcpRoutes,
    TrafficSplit: splits,
    TrafficTarget: targets,
  };
  /** As in a compile: what is in no namespace of this mesh is another's. */
  const inMesh = ({ object }: Problem): boolean => namespaces.get(object.namespace)?.monitored === true;

  return {
    start: () => {
      for (const { reflector } of reflectors) reflector.start();
      void Promise.all(reflectors.map(({ reflector }) => reflector.synced)).then(options.onSynced);
    },
    stop: () => {
      for (const { reflector } of reflectors) reflector.stop();
    },
    waitingFor() {
      const missing = reflectors
        .filter(({ reflector }) => !reflector.isSynced)
        .map(({ kind }) => `${kind} not listed yet`);
      return missing.length === 0 && settings === undefined ? ['no valid MeshConfig'] : missing;
    },
    settings: () => settings,
    meshConfig: () => config.store.get(`${namespace}/${MESH_CONFIG}`),
    rootCertificates: () =>
      [...roots.store.values()]
        .filter(({ metadata }) => metadata.namespace === namespace)
        .map((object) => rootCertificate(object, namespace)),
    storedRootCertificates: () => [...roots.store.values()],
    rootCertificate: (name) => roots.store.get(`${namespace}/${name}`),
    objects: (mesh) => ({
      config: mesh,
      namespaces: [...namespaces.values()],
      services: [...services.values()],
      endpointSlices: [...slices.values()],
      pods: [...pods.values()],
      nodes: [...nodes.values()],
      trafficTargets: usable(targets),
      httpRouteGroups: usable(groups),
      tcpRoutes: usable(tcpRoutes),
      trafficSplits: usable(splits),
    }),
    hasNamespace: (name) => namespaces.get(name) !== undefined,
    slicesOf,
    problems: () => [
      ...configProblems,
      ...[targets, groups, tcpRoutes, splits].flatMap((store) => unusable(store).filter(inMesh)),
    ],
    subject({ kind, namespace: where, name }) {
      const entry = stored[kind].entry(where === '' ? name : `${where}/${name}`);
      if (entry === undefined) return undefined;
      const { uid, version: resourceVersion } = entry;
      const metadata = where === '' ? { name, uid, resourceVersion } : { namespace: where, name, uid, resourceVersion };
      return { apiVersion: apiVersionOf(subjects[kind].kind), kind, metadata };
    },
    pods,
    accounts,
    accountUid: (account) => accounts.get(account),
    zoneOf: (pod) => nodes.get(pod.node)?.zone ?? '',
  };
}

function namespaceOf(key: ObjectKey): string {
  return key.slice(0, key.indexOf('/'));
}

function usable<T>(store: Store<Parsed<T>>): T[] {
  const objects: T[] = [];
  for (const entry of store.values()) if (entry.ok) objects.push(entry.object);
  return objects;
}

function unusable(store: Store<Parsed<unknown>>): Problem[] {
  return [...store.values()].flatMap((entry) => (entry.ok ? [] : entry.problems));
}
