/** What configuration costs, without transport: objects → model → view → bytes, cold and shared. One process, one core. */
import { compile } from '#mesh/compile.ts';
import { endpointsFor } from '#mesh/endpoints.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import { updateEndpoints } from '#mesh/update-endpoints.ts';
import { viewFor } from '#mesh/view-for.ts';
import { largeMesh } from '#test/unit/mesh/large.ts';
import type { Resource } from '#xds/resource.ts';
import { translateEndpoints, translateView } from '#xds/translate/translate.ts';
import { type Bench, measured, quantile } from './result.ts';

const ROUNDS = 60;
/** Rounds before the compiler of the engine has seen enough. */
const WARM = 40;

export const bench: Bench = async () => {
  const small = costs(100);
  const large = costs(1000);
  return [
    measured('configuration of one sidecar, 100 HTTP services, cold', 'ms', small.cold, { target: '<= 2' }),
    measured('  of which its view', 'ms', small.view),
    measured('  of which clusters, listeners, routes', 'ms', small.translate),
    measured('  its endpoints, beside that', 'ms', small.endpoints),
    measured('configuration of a second sidecar that sees the same', 'ms', small.shared, { target: '<= 0.2' }),
    measured('bytes of it', 'KB', small.bytes / 1024),
    measured('configuration of one sidecar, 1,000 services, cold, for 100', 'ms', large.cold / 10),
    measured('compile of 100 services and 200 pods', 'ms', small.compile),
    measured('compile of 1,000 services and 2,000 pods', 'ms', large.compile),
    measured('endpoint change among 100 services, with its assignment', 'ms', small.change),
    measured('endpoint change among 1,000 services, with its assignment', 'ms', large.change),
  ];
};

function costs(services: number) {
  const samples = { compile: [], view: [], translate: [], endpoints: [], cold: [], shared: [], change: [] } as Record<
    'compile' | 'view' | 'translate' | 'endpoints' | 'cold' | 'shared' | 'change',
    number[]
  >;
  let bytes = 0;
  for (let round = -WARM; round < ROUNDS; round += 1) {
    // Objects of its own each time: what is shared by identity would make all but the first round warm.
    const objects = largeMesh({ namespaces: 10, services, podsEach: 2, targets: 0, splits: 0 }, true);
    const pods = objects.pods.filter(({ namespace }) => namespace === 'ns-0');
    const [first, second] = [pods[0], pods[2]];
    if (first === undefined || second === undefined) throw new Error('the mesh is too small');
    const [compiled, { model }] = timed(() => compile(objects));
    const [view, seen] = timed(() => viewFor(model, proxy(first)));
    const [translate, resources] = timed(() => translateView(seen));
    const [endpoints] = timed(() => assignments(model, seen.outbound.clusters));
    const [shared] = timed(() => translateView(viewFor(model, proxy(second))));
    const [change] = timed(() => changeOne(model, objects, seen.outbound.clusters));
    if (round < 0) continue;
    bytes = resources.reduce((sum, resource) => sum + resource.bytes.length, 0);
    for (const [name, value] of Object.entries({ compile: compiled, view, translate, endpoints, shared, change })) {
      samples[name as keyof typeof samples].push(value);
    }
    samples.cold.push(view + translate);
  }
  // The lower quartile: what else the machine does meanwhile only adds.
  const typical = Object.entries(samples).map(([name, values]) => [name, quantile(values, 0.25)] as const);
  return { ...(Object.fromEntries(typical) as Record<keyof typeof samples, number>), bytes };
}

function timed<T>(work: () => T): [ms: number, result: T] {
  const started = performance.now();
  const result = work();
  return [performance.now() - started, result];
}

function proxy({ namespace, name, account, ips }: PodObject) {
  return { namespace, name, account, ips, zone: '' };
}

type Clusters = Parameters<typeof endpointsFor>[1][];

function assignments(model: MeshModel, clusters: readonly Clusters[number][]): Resource[] {
  return clusters
    .filter(({ discovery }) => discovery === 'endpoints')
    .map((cluster) => translateEndpoints(endpointsFor(model, cluster, '')));
}

/** One pod of one service is not ready any more. */
function changeOne(model: MeshModel, objects: MeshObjects, clusters: readonly Clusters[number][]): Resource[] {
  const [slice] = objects.endpointSlices;
  if (slice === undefined) throw new Error('the mesh has no slice');
  const [gone, ...others] = slice.endpoints;
  if (gone === undefined) throw new Error('the slice has no endpoint');
  const { namespace, service } = slice;
  const slices = [{ ...slice, endpoints: [{ ...gone, ready: false }, ...others] }];
  const update = updateEndpoints(model, { namespace, service, slices });
  if (update.kind !== 'endpoints') throw new Error(`an endpoint change became: ${update.kind}`);
  const [cluster] = clusters;
  if (cluster?.service !== service) throw new Error('the first cluster is another service');
  return assignments(update.model, [cluster]);
}
