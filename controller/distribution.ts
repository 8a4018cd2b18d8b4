/**
 * Who gets what: every connected sidecar, the snapshot that the current model and its certificate make for it, and the
 * order between sidecars (a new service's inbound chains before its clients' outbound ones).
 */
import type { AccountKey } from '#mesh/identity.ts';
import { compile } from '#mesh/compile.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import type { Problem } from '#mesh/problem.ts';
import { viewFor } from '#mesh/view-for.ts';
import type { ProxyView } from '#mesh/view.ts';
import { type ProxySnapshot, type ResourceMap, snapshotOf } from '#xds/cache/snapshot.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, TYPES } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';
import type { SnapshotSource } from '#xds/server/ads.ts';
import type { Nack, ProxyStream } from '#xds/server/stream.ts';
import { type Bundles, createBundles, type Translate } from './bundles.ts';
import { inChunks } from './chunks.ts';
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
}

export interface Distribution extends SnapshotSource {
  /** Compiles the objects and brings every connected sidecar up to date. */
  revise(objects: MeshObjects): Promise<{ readonly problems: readonly Problem[]; readonly compileMs: number }>;
  acked(stream: ProxyStream): void;
  nacked(stream: ProxyStream, nack: Nack): void;
  /** What a connected sidecar should have; undefined while nothing was made for it. */
  snapshotOf(stream: ProxyStream): ProxySnapshot | undefined;
  /** Resolves when every connected sidecar has acknowledged what it was given: true, or false after `ms`. */
  settled(ms: number): Promise<boolean>;
  /** The number of the last revision; 0 before the first. */
  readonly revision: number;
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
}

export function createDistribution(options: DistributionOptions): Distribution {
  const { serversFirstMs = 1000 } = options;
  const clients = new Map<ProxyStream, Client>();
  const refusals = createRefusals();
  const waiters = createWaiters();
  let model: MeshModel | undefined;
  let bundles: Bundles | undefined;
  let revision = 0;
  let snapshots = new Map<string, ProxySnapshot>();
  let snapshotsBefore = new Map<string, ProxySnapshot>();

  /** The view of a sidecar's pod; undefined while too little is known of the pod. */
  function viewOf({ stream, servedFrom }: Client): { view: ProxyView; zone: string } | undefined {
    const { namespace, pod: name, account } = stream.proxy;
    const pod = options.pod(namespace, name);
    if (model === undefined || pod === undefined || pod.ips.length === 0) return undefined;
    if (!model.pods.has(`${namespace}/${name}`) && revision < servedFrom) return undefined;
    const zone = options.zoneOf(pod);
    return { view: viewFor(model, { namespace, name, account, ips: pod.ips, zone }), zone };
  }

  function give(client: Client, view: ProxyView, endpoints: ResourceMap): void {
    const { secrets } = client;
    client.view = view;
    client.endpoints = endpoints;
    if (secrets === undefined || bundles === undefined) return;
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
    client.snapshot = refusals.lastGood(client.stream.proxy.account, snapshot);
    client.onSnapshot(client.snapshot);
  }

  /** Brings one sidecar to the current model. */
  function refresh(client: Client): void {
    const found = viewOf(client);
    if (found === undefined || bundles === undefined) return;
    client.zone = found.zone;
    give(client, found.view, bundles.endpoints(found.view.outbound, found.zone));
  }

  /** Sidecars with changed inbound chains, where others' outbound side changes too, get theirs before. */
  async function serversFirst(): Promise<void> {
    const servers: [Client, ProxyView][] = [];
    let outboundChanges = false;
    await inChunks(clients.values(), (client) => {
      const found = viewOf(client);
      const { view: before } = client;
      if (found === undefined || before === undefined) return;
      if (found.view.outbound.key !== before.outbound.key) outboundChanges = true;
      if (found.view.inbound.key !== before.inbound.key) servers.push([client, found.view]);
    });
    if (!outboundChanges || servers.length === 0) return;
    await inChunks(servers, ([client, view]) => {
      if (client.view === undefined || client.endpoints === undefined) return;
      give(client, { outbound: client.view.outbound, inbound: view.inbound }, client.endpoints);
    });
    const told = servers.map(([{ stream }]) => stream);
    await waiters.until(
      () => told.every((stream) => !clients.has(stream) || stream.settled([LISTENER, ROUTES])),
      serversFirstMs,
    );
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
          stopSecrets();
          waiters.look();
          if (![...clients.keys()].some((other) => other.proxy.account === account)) refusals.forget(account);
        },
      };
    },
    async revise(objects) {
      const started = performance.now();
      const result = compile(objects, model);
      const compileMs = performance.now() - started;
      model = result.model;
      revision += 1;
      if (bundles === undefined) bundles = createBundles(model, options.translate);
      else bundles.next(model);
      await serversFirst();
      // Snapshots of two revisions are remembered: what neither asked for, keys of certificates included, goes.
      snapshotsBefore = snapshots;
      snapshots = new Map();
      await inChunks([...clients.values()], refresh);
      return { problems: result.problems, compileMs };
    },
    snapshotOf: (stream) => clients.get(stream)?.snapshot,
    settled: (ms) =>
      waiters.until(
        () => [...clients.values()].every(({ stream, snapshot }) => snapshot === undefined || stream.settled()),
        ms,
      ),
    acked: () => waiters.look(),
    nacked(stream, nack) {
      waiters.look();
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
