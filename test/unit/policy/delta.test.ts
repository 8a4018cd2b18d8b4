/**
 * From one mesh to the next over the delta protocol, with a client that asks for what it needs as Envoy does: by the clusters and
 * listeners that it holds. It ends with the state of the world, and on the way nothing it holds points at what it does not.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compile } from '#mesh/compile.ts';
import type { MeshObjects } from '#mesh/objects.ts';
import { resourcesOfModel } from '#test/support/simulate/mesh.ts';
import { resourceJson } from '#test/support/static-config.ts';
import { meshes } from '#test/unit/mesh/arbitrary-meshes.ts';
import { request, resource } from '#test/unit/xds-server/support.ts';
import { buildSnapshot, EMPTY_SNAPSHOT, type ProxySnapshot } from '#xds/cache/snapshot.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, TYPES, type TypeUrl } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';
import type { DeltaResponse } from '#xds/server/messages.ts';
import { advance, handle, openStream, type StreamState } from '#xds/server/order.ts';

const SECRETS = ['workload', 'roots'].map((name) => resource(SECRET, name));

/** All that a sidecar is sent, for the first meshed pod; nothing where there is none. */
function resourcesOf(objects: MeshObjects): Resource[] {
  const { model } = compile(objects);
  const pod = [...model.pods.values()].find(({ meshed }) => meshed);
  return pod === undefined ? SECRETS : [...resourcesOfModel(model)(pod), ...SECRETS];
}

class EnvoyLike {
  readonly held = new Map<TypeUrl, Map<string, Resource>>(TYPES.map((type) => [type, new Map()]));
  readonly #asked = new Map<TypeUrl, Set<string>>(TYPES.map((type) => [type, new Set()]));
  /** Routes that were the first of their name. */
  readonly #first = new WeakSet<Resource>();
  readonly #names = new Map<string, readonly string[]>();
  world: ProxySnapshot = EMPTY_SNAPSHOT;
  #state: StreamState = openStream();
  #unanswered: DeltaResponse[] = [];

  constructor() {
    this.#send(CLUSTER, {});
    this.#send(LISTENER, {});
  }

  get waiting(): number {
    return this.#unanswered.length;
  }

  become(resources: readonly Resource[]): void {
    this.world = buildSnapshot(resources, this.world);
    this.#take(advance(this.#state, this.world));
  }

  /** Applies and acknowledges one of the responses, then asks for what it now needs. */
  answer(pick: number): void {
    const response = this.#unanswered[pick % this.#unanswered.length];
    if (response === undefined) return;
    this.#unanswered = this.#unanswered.filter((other) => other !== response);
    const type = response.type as TypeUrl;
    const wild = type === CLUSTER || type === LISTENER;
    for (const entry of response.resources) {
      if (type === ROUTES && !this.held.get(ROUTES)?.has(entry.name)) this.#first.add(entry);
      if (wild || this.#asked.get(type)?.has(entry.name)) this.held.get(type)?.set(entry.name, entry);
    }
    for (const name of response.removed) this.held.get(type)?.delete(name);
    this.#send(type, { nonce: response.nonce });
    const owners = [...this.#all(CLUSTER), ...this.#all(LISTENER)];
    this.#need(
      ENDPOINTS,
      this.#all(CLUSTER).flatMap(({ endpoints }) => endpoints ?? []),
    );
    this.#need(
      SECRET,
      owners.flatMap(({ secrets }) => secrets ?? []),
    );
    this.#need(
      ROUTES,
      this.#all(LISTENER).flatMap((listener) => this.#named(listener, 'route_config_name')),
    );
  }

  /**
   * Clusters that held listeners and routes send to, but that are not held. Routes that the client had not asked for before are
   * answered at once, as a listener waits for them: those may name clusters that were sent before them and are still warming.
   */
  dangling(): string[] {
    const warming = this.#unanswered.filter(({ type }) => type === CLUSTER).flatMap(({ resources }) => resources);
    const missing = (entry: Resource): string[] =>
      this.#named(entry, 'cluster').filter((name) => name !== 'envoy-admin' && !this.held.get(CLUSTER)?.has(name));
    return [...this.#all(LISTENER), ...this.#all(ROUTES)].flatMap((entry) =>
      missing(entry).filter((name) => !this.#first.has(entry) || !warming.some((cluster) => cluster.name === name)),
    );
  }

  #all(type: TypeUrl): Resource[] {
    return [...(this.held.get(type)?.values() ?? [])];
  }

  /** Texts under a key, anywhere in a resource; `cluster` also in weighted ones. */
  #named(of: Resource, key: string): readonly string[] {
    const at = `${key} ${of.type} ${of.name} ${of.hash}`;
    const known = this.#names.get(at);
    if (known !== undefined) return known;
    const found = new Set<string>();
    JSON.stringify(resourceJson(of), (name, value: unknown) => {
      if (name === key && typeof value === 'string') found.add(value);
      if (key === 'cluster' && name === 'weighted_clusters') {
        for (const entry of (value as { clusters: { name: string }[] }).clusters) found.add(entry.name);
      }
      return value;
    });
    this.#names.set(at, [...found]);
    return [...found];
  }

  #need(type: TypeUrl, names: readonly string[]): void {
    const asked = this.#asked.get(type) ?? new Set();
    const subscribe = [...new Set(names)].filter((name) => !asked.has(name));
    const unsubscribe = [...asked].filter((name) => !names.includes(name));
    if (subscribe.length + unsubscribe.length === 0) return;
    this.#asked.set(type, new Set(names));
    for (const name of unsubscribe) this.held.get(type)?.delete(name);
    this.#send(type, { subscribe, unsubscribe });
  }

  #send(type: TypeUrl, fields: Parameters<typeof request>[0]): void {
    this.#take(handle(this.#state, type, request({ type, ...fields }), this.world));
  }

  #take({ stream, responses }: { stream: StreamState; responses: readonly DeltaResponse[] }): void {
    this.#state = stream;
    this.#unanswered.push(...responses);
  }
}

describe('from mesh to mesh by delta', () => {
  it('ends with the state of the world, and on the way no route points at a cluster that is not there', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ mesh: meshes, picks: fc.array(fc.nat(7), { maxLength: 6 }) }), {
          minLength: 2,
          maxLength: 4,
        }),
        (story) => {
          const client = new EnvoyLike();
          const answer = (pick: number): void => {
            client.answer(pick);
            assert.deepEqual(client.dangling(), []);
          };
          for (const { mesh, picks } of story) {
            client.become(resourcesOf(mesh));
            for (const pick of picks) answer(pick);
          }
          for (let turns = 0; client.waiting > 0; turns += 1) {
            assert.ok(turns < 500, 'the exchange must end');
            answer(0);
          }
          for (const type of TYPES) {
            const needed = [...client.world[CLUSTER].values(), ...client.world[LISTENER].values()].flatMap(
              ({ secrets }) => secrets ?? [],
            );
            const wanted = [...client.world[type]].filter(([name]) => type !== SECRET || needed.includes(name));
            const versions = (entries: Iterable<readonly [string, Resource]>) =>
              Object.fromEntries([...entries].map(([name, { hash }]) => [name, hash]));
            assert.deepEqual(versions(client.held.get(type) ?? []), versions(wanted), type);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
