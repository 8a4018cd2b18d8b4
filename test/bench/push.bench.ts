/**
 * How long the controller takes to bring a change to every sidecar. It is a process of its own against a real API server;
 * simulated sidecars, in processes of their own, hold real delta streams over TLS, each for a pod that exists.
 */
import type { Client } from '#kubernetes/client.ts';
import { namespace } from '#test/integration/operator-support.ts';
import type { SidecarFiles } from '#test/integration/xds-support.ts';
import { type PushCluster, withPushCluster } from './push-cluster.ts';
import { type BenchPod, buildMesh, type MeshSize, tokensOf, writeMeshConfig, writeSlice } from './push-mesh.ts';
import { type ControllerProcess, end, type Fleet, startController, startFleet } from './push-fleet.ts';
import type { SidecarOptions } from './push-sidecar.ts';
import { type Bench, type BenchResult, measured, median, quantile } from './result.ts';

const SIZE: MeshSize = { namespaces: 5, services: 100, podsEach: 5 };
const STEPS = [200, 500];
const CHANGES = 60;
const POLICY_CHANGES = 4;
const LIMIT_MS = 10_000;

export const bench: Bench = () => withPushCluster(measure);

async function measure({ server, files, admin }: PushCluster): Promise<BenchResult[]> {
  const stop: (() => Promise<unknown> | void)[] = [];
  try {
    const pods = await buildMesh(admin, SIZE);
    const tokens = await tokensOf(server, admin, pods, 20);
    const controller = await startController(server.kubeconfigPath, files);
    stop.push(() => end(controller.process));
    const fleet = startFleet(LIMIT_MS);
    stop.push(() => Promise.all(fleet.workers.map(end)));
    const idle = await controller.memory();
    const results: BenchResult[] = [];
    const connectedMemory: Memory[] = [];
    let last = idle;
    // Copies of different services first, so that each step holds all accounts.
    const order = pods.map((_, index) => (index % SIZE.services) * SIZE.podsEach + Math.floor(index / SIZE.services));
    let open = 0;
    for (const count of STEPS) {
      const fresh = order
        .slice(open, count)
        .map((index) => sidecarOf(pods[index], tokens[index], controller.xdsPort, files));
      open = count;
      const before = controller.cpuMs();
      const connected = await fleet.measure({ kind: 'complete' }, async () => fleet.open(fresh));
      results.push(
        measured(
          `${fresh.length} sidecars connect to a mesh of ${SIZE.services} services: last ACK`,
          'ms',
          connected.ms,
        ),
        measured('controller CPU for each of them', 'ms', ((await controller.cpuMs()) - (await before)) / fresh.length),
      );
      connectedMemory.push(await controller.memory());
      results.push(...(await endpointChanges(fleet, controller, admin, { pods, count })));
      results.push(...(await policyChanges(fleet, admin, count)));
      last = await controller.memory();
    }
    results.push(...memoryOf(idle, connectedMemory, last));
    return results;
  } finally {
    for (const each of stop.toReversed()) await each();
  }
}

type Memory = Awaited<ReturnType<ControllerProcess['memory']>>;

function memoryOf(idle: Memory, connected: readonly Memory[], last: Memory): BenchResult[] {
  const [from = Number.NaN, to = Number.NaN] = STEPS;
  const [before = idle, after = idle] = connected;
  return [
    measured('controller RSS without sidecars', 'MB', idle.rss / 1024),
    measured(`controller RSS with ${to} sidecars, after all changes`, 'MB', last.rss / 1024),
    // With what the changes at the first step left behind, and all that the connecting took for a moment.
    measured(`controller RSS slope from ${from} to ${to} sidecars`, 'KB', (after.rss - before.rss) / (to - from), {
      target: '<= 150',
    }),
    measured(`memory in use (heap and external), the same slope`, 'KB', (after.used - before.used) / (to - from)),
  ];
}

async function endpointChanges(
  fleet: Fleet,
  controller: ControllerProcess,
  admin: Client,
  { pods, count }: { pods: readonly BenchPod[]; count: number },
): Promise<BenchResult[]> {
  const times: number[] = [];
  const bytes: number[] = [];
  const before = await controller.cpuMs();
  for (let change = 0; change < CHANGES; change += 1) {
    const index = (change >> 1) % SIZE.services;
    const behind = pods.slice(index * SIZE.podsEach, (index + 1) * SIZE.podsEach);
    const service = `${behind[0]?.namespace}/${behind[0]?.service}`;
    const done = await fleet.measure({ kind: 'endpoints', service }, () => writeSlice(admin, behind, change % 2 === 1));
    times.push(done.ms);
    bytes.push(done.bytes / done.responses);
  }
  const cpu = ((await controller.cpuMs()) - before) / CHANGES;
  return [
    measured(`endpoint change → last ACK of ${count}, p50`, 'ms', median(times)),
    measured(`endpoint change → last ACK of ${count}, p99 of ${CHANGES}`, 'ms', quantile(times, 0.99), {
      target: '<= 1000',
    }),
    measured('bytes of one endpoint change to one sidecar', 'B', median(bytes)),
    measured(`controller CPU of one endpoint change for ${count}`, 'ms', cpu),
  ];
}

/** Permissive mode off and on again: everybody's routes and clusters change, the widest change that a policy can make. */
async function policyChanges(fleet: Fleet, admin: Client, count: number): Promise<BenchResult[]> {
  const times: number[] = [];
  for (let change = 0; change < POLICY_CHANGES; change += 1) {
    const permissive = change % 2 === 1;
    const clusters = permissive ? SIZE.services : 0;
    times.push((await fleet.measure({ kind: 'policy', clusters }, () => writeMeshConfig(admin, permissive))).ms);
  }
  return [
    measured(`policy change → last ACK of ${count}, worst of ${POLICY_CHANGES}`, 'ms', Math.max(...times), {
      target: '<= 2000',
    }),
  ];
}

function sidecarOf(
  pod: BenchPod | undefined,
  token: string | undefined,
  port: number,
  files: SidecarFiles,
): SidecarOptions {
  if (pod === undefined || token === undefined) throw new Error('more sidecars than pods');
  return {
    port,
    rootsPem: files.authority.rootsPem,
    serverName: `osm-controller.${namespace}.svc`,
    token,
    node: `${pod.namespace}/${pod.name}/${pod.uid}`,
    routes: ['outbound.80', `inbound.${pod.namespace}/${pod.service}.8080`],
  };
}
