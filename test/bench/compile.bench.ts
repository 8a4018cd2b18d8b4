/**
 * What configuration costs, without transport: objects → model → view → bytes, cold and shared, and what a change costs and
 * touches. One process, one core: run it on a quiet machine.
 */
import { createDistribution } from '#controller/distribution.ts';
import { compile } from '#mesh/compile.ts';
import { endpointsFor } from '#mesh/endpoints.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { EndpointSliceObject, MeshObjects } from '#mesh/objects.ts';
import { viewFor } from '#mesh/view-for.ts';
import { eventually } from '#test/support/eventually.ts';
import { proxy, target } from '#test/unit/mesh/builders.ts';
import { largeMesh } from '#test/unit/mesh/large.ts';
import { NO_RESOURCES } from '#xds/cache/snapshot.ts';
import type { Resource } from '#xds/resource.ts';
import { translateEndpoints, translateView } from '#xds/translate/translate.ts';
import { connect } from './compile-stream.ts';
import { type Bench, measured, quantile } from './result.ts';

const ROUNDS = 60;
/** Rounds before the compiler of the engine has seen enough. */
const WARM = 40;
/** The mesh of design section 7. */
const FULL = { namespaces: 10, services: 500, podsEach: 4, targets: 300, splits: 50 };
const FULL_ROUNDS = 6;
/** Sidecars that see a changed endpoint. */
const SIDECARS = 50;

export const bench: Bench = async () => {
  const small = costs(100);
  const large = costs(1000);
  const full = fullMesh();
  const few = await endpointChange(100);
  const many = await endpointChange(1000);
  return [
    measured('compile of 500 services, 2,000 pods, 300 TrafficTargets, 50 splits', 'ms', full.compile, {
      target: '<= 300',
    }),
    measured('  views of all 2,000 sidecars, beside that', 'ms', full.views),
    measured('  resources of all 2,000 sidecars, beside that', 'ms', full.resources),
    measured('configuration of one sidecar, 100 HTTP services, cold', 'ms', small.cold, { target: '<= 2' }),
    measured('  of which its view', 'ms', small.view),
    measured('  of which clusters, listeners, routes', 'ms', small.translate),
    measured('  its endpoints, beside that', 'ms', small.endpoints),
    measured('configuration of a second sidecar that sees the same', 'ms', small.shared, { target: '<= 0.2' }),
    measured('bytes of it', 'KB', small.bytes / 1024),
    measured('configuration of one sidecar, 1,000 services, cold, for 100', 'ms', large.cold / 10),
    measured('endpoint change → first byte to a sidecar, 100 services', 'ms', few.first, { target: '<= 2' }),
    measured('endpoint change → first byte to a sidecar, 1,000 services', 'ms', many.first, { target: '<= 2' }),
    measured(`  → last of ${SIDECARS} sidecars, 100 services`, 'ms', few.all),
    measured(`  → last of ${SIDECARS} sidecars, 1,000 services`, 'ms', many.all),
    measured('one TrafficTarget more: sides of views made anew, of 4,000', '', full.change.sides, {
      // The outbound sides of its source's four pods and the inbound sides of its destination's four.
      target: '<= 8',
    }),
    measured('  resources made anew', '', full.change.resources),
    measured('  time for model, views and resources of all sidecars', 'ms', full.change.ms),
  ];
};

function costs(services: number) {
  const samples = { view: [], translate: [], endpoints: [], cold: [], shared: [] } as Record<
    'view' | 'translate' | 'endpoints' | 'cold' | 'shared',
    number[]
  >;
  let bytes = 0;
  for (let round = -WARM; round < ROUNDS; round += 1) {
    // Objects of its own each time: what is shared by identity would make all but the first round warm.
    const objects = largeMesh({ namespaces: 10, services, podsEach: 2, targets: 0, splits: 0 }, true);
    const pods = objects.pods.filter(({ namespace }) => namespace === 'ns-0');
    const [first, second] = [pods[0], pods[2]];
    if (first === undefined || second === undefined) throw new Error('the mesh is too small');
    const { model } = compile(objects);
    const [view, seen] = timed(() => viewFor(model, proxy(first)));
    const [translate, resources] = timed(() => translateView(seen));
    const [endpoints] = timed(() => assignments(model, seen.outbound.clusters));
    const [shared] = timed(() => translateView(viewFor(model, proxy(second))));
    if (round < 0) continue;
    bytes = resources.reduce((sum, resource) => sum + resource.bytes.length, 0);
    for (const [name, value] of Object.entries({ view, translate, endpoints, shared })) {
      samples[name as keyof typeof samples].push(value);
    }
    samples.cold.push(view + translate);
  }
  const typical = Object.entries(samples).map(([name, values]) => [name, lower(values)] as const);
  return { ...(Object.fromEntries(typical) as Record<keyof typeof samples, number>), bytes };
}

/** The lower quartile: what else the machine does meanwhile only adds. */
function lower(values: readonly number[]): number {
  return quantile(values, 0.25);
}

function timed<T>(work: () => T): [ms: number, result: T] {
  const started = performance.now();
  const result = work();
  return [performance.now() - started, result];
}

type Clusters = Parameters<typeof endpointsFor>[1][];

function assignments(model: MeshModel, clusters: readonly Clusters[number][]): Resource[] {
  return clusters
    .filter(({ discovery }) => discovery === 'endpoints')
    .map((cluster) => translateEndpoints(endpointsFor(model, cluster, '')));
}

/** The whole mesh in SMI mode, and what one policy more makes anew in it. */
function fullMesh() {
  const samples = { compile: [] as number[], views: [] as number[], resources: [] as number[], change: [] as number[] };
  let change = { sides: 0, resources: 0 };
  for (let round = -2; round < FULL_ROUNDS; round += 1) {
    const objects = largeMesh(FULL, false);
    const [compiled, { model }] = timed(() => compile(objects));
    const [viewed, views] = timed(() => objects.pods.map((of) => viewFor(model, proxy(of))));
    const [translated, resources] = timed(() => new Set(views.flatMap(translateView)));
    const added = target('ns-0/new', ['ns-3/app-3'], 'ns-0/app-40', 'HTTPRouteGroup/routes');
    const [changed, after] = timed(() => {
      const next = compile({ ...objects, trafficTargets: [...objects.trafficTargets, added] }, model).model;
      const seen = objects.pods.map((of) => viewFor(next, proxy(of)));
      return { views: seen, resources: new Set(seen.flatMap(translateView)) };
    });
    change = {
      sides: after.views.reduce((sum, view, index) => sum + differentSides(view, views[index]), 0),
      resources: [...after.resources].filter((resource) => !resources.has(resource)).length,
    };
    if (round < 0) continue;
    samples.compile.push(compiled);
    samples.views.push(viewed);
    samples.resources.push(translated);
    samples.change.push(changed);
  }
  return {
    compile: lower(samples.compile),
    views: lower(samples.views),
    resources: lower(samples.resources),
    change: { ...change, ms: lower(samples.change) },
  };
}

type View = ReturnType<typeof viewFor>;

function differentSides(a: View, b: View | undefined): number {
  return (['outbound', 'inbound'] as const).filter((side) => a[side] !== b?.[side]).length;
}

/**
 * The controller's own short path: distribution, snapshots, streams and the encoded response; all that lies between a changed
 * slice and the socket but the few milliseconds that changes wait for their like.
 */
async function endpointChange(services: number): Promise<{ first: number; all: number }> {
  const objects = largeMesh({ namespaces: 10, services, podsEach: 2, targets: 0, splits: 0 }, true);
  const pods = new Map(objects.pods.map((each) => [`${each.namespace}/${each.name}`, each]));
  const distribution = createDistribution({
    translate: { view: translateView, endpoints: translateEndpoints },
    secrets: (_, onSecrets) => {
      onSecrets(NO_RESOURCES);
      return () => undefined;
    },
    pod: (namespace, name) => pods.get(`${namespace}/${name}`),
    zoneOf: () => '',
    requestRevision: () => undefined,
  });
  await distribution.revise(objects);
  let firstAt: number | undefined;
  let told = 0;
  const streams = objects.pods.slice(0, SIDECARS).map((of) =>
    connect(distribution, of, () => {
      firstAt ??= performance.now();
      told += 1;
    }),
  );
  const quiet = (): Promise<unknown> =>
    eventually('all sidecars have answered', async () => streams.every((each) => each.settled()), { everyMs: 1 });
  await quiet();
  const samples = { first: [] as number[], all: [] as number[] };
  for (let round = -WARM; round < ROUNDS * 2; round += 1) {
    const change = oneEndpoint(objects, round);
    [firstAt, told] = [undefined, 0];
    const started = performance.now();
    const result = await distribution.updateEndpoints([change]);
    const ended = performance.now();
    if (firstAt === undefined || result?.told.length !== SIDECARS || told !== SIDECARS) {
      throw new Error(`an endpoint change reached ${told} of ${SIDECARS} sidecars`);
    }
    await quiet();
    if (round < 0) continue;
    samples.first.push(firstAt - started);
    samples.all.push(ended - started);
  }
  return { first: lower(samples.first), all: lower(samples.all) };
}

/** One pod of one service is ready, or is not. Always another service, so that nothing of the last round is left over. */
function oneEndpoint(objects: MeshObjects, round: number) {
  const index = (((round >> 1) % objects.services.length) + objects.services.length) % objects.services.length;
  const changed = objects.services[index];
  if (changed === undefined) throw new Error('the mesh has no service');
  const { namespace, name } = changed;
  const slices = objects.endpointSlices
    .filter((slice) => slice.namespace === namespace && slice.service === name)
    .map((slice): EndpointSliceObject => {
      const [one, ...others] = slice.endpoints;
      return one === undefined ? slice : { ...slice, endpoints: [{ ...one, ready: round % 2 !== 0 }, ...others] };
    });
  return { namespace, service: name, slices };
}
