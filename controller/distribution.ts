/**
 * Who gets what: every connected sidecar, the snapshot that the current model and its certificate make for it, and the
 * order between sidecars (a new service's inbound chains before its clients' outbound ones).
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { AccountKey } from '#mesh/identity.ts';
import { compile } from '#mesh/compile.ts';
import type { MeshModel, NameKey } from '#mesh/model.ts';
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import { hasNewBackends } from '#mesh/splits.ts';
import { type EndpointChange, updateEndpoints } from '#mesh/update-endpoints.ts';
import type { Problem } from '#mesh/problem.ts';
import { viewFor } from '#mesh/view-for.ts';
import type { InboundView, ProxyView } from '#mesh/view.ts';
import { type ProxySnapshot, type ResourceMap, snapshotOf } from '#xds/cache/snapshot.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, TYPES, type TypeUrl } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';
import type { SnapshotSource } from '#xds/server/ads.ts';
import type { Nack, ProxyStream } from '#xds/server/stream.ts';
import { createAudience } from './audience.ts';
import { type Bundles, createBundles, groupOf, type Translate } from './bundles.ts';
import { inChunks } from './chunks.ts';
import { type Leaving, withLeaving } from './leaving.ts';
import { createRefusals } from './refusals.ts';
import { createWaiters } from './waiters.ts';

export interface DistributionOptions {
  readonly translate: Translate;
  /** The secrets of one account, now and whenever they change, until the returned function is called. */
  readonly secrets: (account: AccountKey, onSecrets: (secrets: ResourceMap) => void) => () => void;
  readonly pod: (namespace: string, name: string) => PodObject | undefined;
  readonly zoneOf: (pod: PodObject) => string;
  /** Asks for a revision: a sidecar connected whose pod no revision has seen. */
  readonly requestRevision: (reason: string) => void;
  /** How long servers may take to acknowledge new inbound chains before their clients are told, in milliseconds. */
  readonly serversFirstMs?: number;
  /**
   * How long servers keep inbound chains and host names that they are about to lose, in milliseconds: the time in which every
   * replica has told its sidecars to call them no more.
   */
  readonly leavingMs?: number;
  /**
   * How long clients of a new backend wait for other replicas to tell it the names of the apex, in milliseconds: nobody here
   * learns when its sidecar has acknowledged them.
   */
  readonly otherReplicasMs?: number;
}

export interface Distribution extends SnapshotSource {
  /** Compiles the objects and brings every connected sidecar up to date. */
  revise(objects: MeshObjects): Promise<Revision>;
  /**
   * Brings other endpoints of some services to the sidecars that see these services, without a compile. Undefined, and
   * nothing is done, when views would change as well: then `revise`.
   */
  updateEndpoints(changes: readonly EndpointChange[]): Promise<Told | undefined>;
  acked(stream: ProxyStream): void;
  nacked(stream: ProxyStream, nack: Nack): void;
  /** What a connected sidecar should have; undefined while nothing was made for it. */
  snapshotOf(stream: ProxyStream): ProxySnapshot | undefined;
  /** The number of the last revision; 0 before the first. */
  readonly revision: number;
}

/** The sidecars that were given something new. */
export interface Told {
  readonly told: readonly ProxyStream[];
  /** Resolves when each of them has acknowledged all it was given, or is gone: true, or false after `ms`. */
  readonly settled: (ms: number) => Promise<boolean>;
}

export interface Revision extends Told {
  readonly model: MeshModel;
  readonly problems: readonly Problem[];
  readonly compileMs: number;
}

/** One connected sidecar. */
interface Client {
  readonly stream: ProxyStream;
  readonly onSnapshot: (snapshot: ProxySnapshot) => void;
  /** A revision that began after the sidecar connected: from then on it is served even if no model knows its pod. */
  readonly servedFrom: number;
  secrets: ResourceMap | undefined;
  /** What it was last given, and from which view and assignments. */
  view: ProxyView | undefined;
  endpoints: ResourceMap | undefined;
  zone: string;
  snapshot: ProxySnapshot | undefined;
  /** What it keeps of its inbound view although the model has it no more. */
  leaving: Leaving;
}

const ORDERED: readonly TypeUrl[] = [LISTENER, ROUTES];

export function createDistribution(options: DistributionOptions): Distribution {
  const { serversFirstMs = 1000, leavingMs = 1500, otherReplicasMs = 300 } = options;
  const clients = new Map<ProxyStream, Client>();
  const refusals = createRefusals();
  const waiters = createWaiters<ProxyStream>();
  const audience = createAudience<Client>();
  let model: MeshModel | undefined;
  let bundles: Bundles | undefined;
  let revision = 0;
  let snapshots = new Map<string, ProxySnapshot>();
  let snapshotsBefore = new Map<string, ProxySnapshot>();
  let lettingGo: NodeJS.Timeout | undefined;

  /** The view of a sidecar's pod, with what leaves it; undefined while too little is known of the pod. */
  function viewOf(client: Client): { view: ProxyView; zone: string } | undefined {
    const { stream, servedFrom } = client;
    const { namespace, pod: name, account } = stream.proxy;
    const pod = options.pod(namespace, name);
    if (model === undefined || pod === undefined || pod.ips.length === 0) return undefined;
    if (!model.pods.has(`${namespace}/${name}`) && revision < servedFrom) return undefined;
    const zone = options.zoneOf(pod);
    const view = viewFor(model, { namespace, name, account, ips: pod.ips, zone });
    return { view: { ...view, inbound: inboundOf(client, view.inbound) }, zone };
  }

  function inboundOf(client: Client, next: InboundView): InboundView {
    if (client.view === undefined) return next;
    const at = { leaving: client.leaving, now: performance.now(), forMs: leavingMs };
    const { inbound, leaving } = withLeaving(next, client.view.inbound, at);
    client.leaving = leaving;
    if (leaving.size > 0) lettingGo ??= setTimeout(() => void letGo(), leavingMs / 3).unref();
    return inbound;
  }

  /** Takes from servers what has left them for long enough. Touches no outbound side, so it may run while a revision does. */
  async function letGo(): Promise<void> {
    lettingGo = undefined;
    const keeping = [...clients.values()].filter(({ leaving }) => leaving.size > 0);
    await inChunks(keeping, (client) => {
      if (client.view === undefined || client.endpoints === undefined || !clients.has(client.stream)) return;
      const found = viewOf(client);
      if (found === undefined || found.view.inbound.key === client.view.inbound.key) return;
      give(client, { outbound: client.view.outbound, inbound: found.view.inbound }, client.endpoints);
    });
  }

  /** True when that is anything new. */
  function give(client: Client, view: ProxyView, endpoints: ResourceMap): boolean {
    const { secrets } = client;
    client.view = view;
    client.endpoints = endpoints;
    audience.join(client, groupOf(view.outbound, client.zone));
    if (secrets === undefined || bundles === undefined) return false;
    const bundle = bundles.bundle(view);
    const maps = {
      [CLUSTER]: bundle.clusters,
      [ENDPOINTS]: endpoints,
      [SECRET]: secrets,
      [LISTENER]: bundle.listeners,
      [ROUTES]: bundle.routes,
    };
    // Sidecars of one account and zone with one view get one object, revision after revision.
    const key = `${client.stream.proxy.account}\n${view.outbound.key}\n${view.inbound.key}\n${client.zone}`;
    const known = snapshots.get(key) ?? snapshotsBefore.get(key);
    const same = known !== undefined && TYPES.every((type) => known[type] === maps[type]);
    const snapshot = same ? known : snapshotOf((type) => maps[type]);
    snapshots.set(key, snapshot);
    const last = client.snapshot;
    client.snapshot = refusals.lastGood(client.stream.proxy.account, snapshot);
    if (client.snapshot === last) return false;
    client.onSnapshot(client.snapshot);
    return true;
  }

  function toldAs(told: readonly ProxyStream[]): Told {
    return { told, settled: (ms) => waiters.until(told, ms) };
  }

  /** Brings one sidecar to the current model; true when that is anything new. */
  function refresh(client: Client): boolean {
    const found = viewOf(client);
    if (found === undefined || bundles === undefined) return false;
    client.zone = found.zone;
    return give(client, found.view, bundles.endpoints(found.view.outbound, found.zone));
  }

  /**
   * A call must find its server's chain: sidecars with changed inbound chains, where others' outbound side changes too, get
   * new ones before the clients. What they lose they keep for a while: `withLeaving`.
   */
  async function serversFirst(leastMs: number): Promise<void> {
    const servers: [Client, ProxyView][] = [];
    let outboundChanges = false;
    await inChunks([...clients.values()], (client) => {
      const found = viewOf(client);
      const { view: before } = client;
      if (found === undefined || before === undefined) return;
      if (found.view.outbound.key !== before.outbound.key) outboundChanges = true;
      if (found.view.inbound.key !== before.inbound.key) servers.push([client, found.view]);
    });
    if (!outboundChanges) return;
    await inChunks(servers, ([client, { inbound }]) => {
      if (client.view === undefined || client.endpoints === undefined) return;
      give(client, { outbound: client.view.outbound, inbound }, client.endpoints);
    });
    const least = leastMs > 0 ? pause(leastMs) : undefined;
    await acknowledged(servers.map(([{ stream }]) => stream));
    await least;
  }

  /** Routes, and listeners with their chains; no longer than the order between sidecars is worth. */
  function acknowledged(streams: readonly ProxyStream[]): Promise<boolean> {
    return waiters.until(streams, serversFirstMs, ORDERED);
  }

  return {
    get revision() {
      return revision;
    },
    connect(stream, onSnapshot) {
      const client: Client = {
        stream,
        onSnapshot,
        servedFrom: revision + 1,
        secrets: undefined,
        view: undefined,
        endpoints: undefined,
        zone: '',
        snapshot: undefined,
        leaving: new Map(),
      };
      const { namespace, pod, account } = stream.proxy;
      clients.set(stream, client);
      const stopSecrets = options.secrets(account, (secrets) => {
        client.secrets = secrets;
        if (client.view !== undefined && client.endpoints !== undefined) give(client, client.view, client.endpoints);
      });
      refresh(client);
      if (client.view === undefined) options.requestRevision(`sidecar ${namespace}/${pod}`);
      return {
        close() {
          clients.delete(stream);
          audience.leave(client);
          stopSecrets();
          waiters.gone(stream);
          if (![...clients.keys()].some((other) => other.proxy.account === account)) refusals.forget(account);
        },
      };
    },
    async revise(objects) {
      const started = performance.now();
      const result = compile(objects, model);
      const compileMs = performance.now() - started;
      const newBackends = model !== undefined && hasNewBackends(model.splits, result.model.splits);
      model = result.model;
      revision += 1;
      if (bundles === undefined) bundles = createBundles(model, options.translate);
      else bundles.next(model);
      await serversFirst(newBackends ? otherReplicasMs : 0);
      // Snapshots of two revisions are remembered: what neither asked for, keys of certificates included, goes.
      snapshotsBefore = snapshots;
      snapshots = new Map();
      const told = new Set<ProxyStream>();
      const bring = (client: Client): void => {
        if (clients.has(client.stream) && refresh(client)) told.add(client.stream);
      };
      await inChunks([...clients.values()], bring);
      return { ...toldAs([...told]), ...result, compileMs };
    },
    async updateEndpoints(changes) {
      if (model === undefined || bundles === undefined) return undefined;
      let next = model;
      const services: NameKey[] = [];
      for (const change of changes) {
        const update = updateEndpoints(next, change);
        if (update.kind === 'recompile') return undefined;
        next = update.model;
        if (update.kind === 'endpoints') services.push(update.service);
      }
      if (services.length === 0) return toldAs([]);
      model = next;
      const told: ProxyStream[] = [];
      for (const [group, endpoints] of bundles.replaceEndpoints(model, services)) {
        await inChunks([...audience.of(group)], (client) => {
          if (client.view === undefined || !clients.has(client.stream)) return;
          if (give(client, client.view, endpoints)) told.push(client.stream);
        });
      }
      return toldAs(told);
    },
    snapshotOf: (stream) => clients.get(stream)?.snapshot,
    acked: (stream) => waiters.look(stream),
    nacked(stream, nack) {
      waiters.look(stream);
      const { account } = stream.proxy;
      for (const culprit of nack.culprits) {
        const held = stream.held(nack.type, culprit.name);
        refusals.note(account, culprit, isResource(held) ? held : undefined);
      }
    },
  };
}

/** What a stream has sent is a whole resource; what a client brought along from an earlier stream only a version. */
function isResource(held: object | undefined): held is Resource {
  return held !== undefined && 'bytes' in held;
}
