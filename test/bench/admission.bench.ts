/**
 * What admission costs (design 7): the injector's own process on one core and the load on the other, and pods through a
 * real API server with it, without any webhook, and with one that does nothing. About 50 s.
 *
 * Other work on the machine shows in `admission.waited-for-core`: how much of the time the injector could have run and
 * did not get its core. Rates and latencies mean something when that is near 0; CPU times mean something always.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parse } from 'yaml';
import { type Client, createClient } from '#kubernetes/client.ts';
import {
  CustomResourceDefinitions,
  MeshConfigs,
  MutatingWebhookConfigurations,
  Namespaces,
  Pods,
} from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type InjectorProcess, startInjectorProcess } from '#test/integration/webhook-process.ts';
import { startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { startIdleWebhook } from './admission-idle.ts';
import { reviewLoad } from './admission-load.ts';
import { benchPods, reviewOf } from './admission-pods.ts';
import { type Bench, type BenchResult, measured, median, quantile } from './result.ts';

const meshed = 'bench-meshed';
const plain = 'bench-plain';
const idle = 'bench-idle';
const concurrency = 16;

export const bench: Bench = async () => {
  const server = await startApiServer();
  const client = createClient(server.clientOptions);
  let injector: InjectorProcess | undefined;
  // One core for the injector, another for the load; on a machine with one there is nothing to keep apart.
  const cores = availableParallelism() > 1 ? { injector: 1, load: 0 } : undefined;
  try {
    await makeMesh(client);
    injector = await startInjectorProcess({
      kubeconfigPath: server.kubeconfigPath,
      ...(cores && { core: cores.injector }),
      ...(process.env['OSM_BENCH_PROFILE'] && {
        nodeFlags: ['--cpu-prof', `--cpu-prof-dir=${process.env['OSM_BENCH_PROFILE']}`],
      }),
    });
    await injector.ready();
    if (cores) pin(process.pid, String(cores.load));
    const reviews = await measureReviews(client, injector);
    if (cores) for (const pid of [process.pid, injector.pid]) pin(pid, `0-${availableParallelism() - 1}`);
    return [...reviews, ...(await measurePods(client, injector))];
  } finally {
    await injector?.end('SIGTERM');
    client.close();
    await server.stop();
  }
};

async function measureReviews(client: Client, injector: InjectorProcess): Promise<BenchResult[]> {
  // With the defaults and managedFields that the API server adds before it asks a webhook.
  const pods = await Promise.all(benchPods(plain, 'sample').map((pod) => client.create(Pods, pod, { dryRun: true })));
  const load = reviewLoad({
    origin: `https://${injector.address}:9090`,
    ca: injector.authority,
    connections: concurrency,
    bodies: pods.map((pod) => reviewOf({ ...pod, metadata: { ...pod.metadata, namespace: meshed } })),
  });
  try {
    await load.saturate(3_000); // until the code is compiled
    const [before, waited] = [cpuMs(injector.pid), waitedMs(injector.pid)];
    const full = await load.saturate(8_000);
    const cpu = (cpuMs(injector.pid) - before) / full.answers;
    const steady = await load.steady(300, 10_000);
    const away = (waitedMs(injector.pid) - waited) / (full.seconds + steady.seconds) / 10;
    return [
      measured('admission.reviews-on-one-core', '1/s', full.answers / full.seconds, { target: '>= 1000' }),
      measured('admission.cpu-a-review', 'ms', cpu, { target: '<= 1' }),
      measured('admission.waited-for-core', '%', away),
      measured('admission.p50-at-300', 'ms', median(steady.latencies)),
      measured('admission.p99-at-300', 'ms', quantile(steady.latencies, 0.99), { target: '<= 10' }),
    ];
  } finally {
    await load.close();
  }
}

async function measurePods(client: Client, injector: InjectorProcess): Promise<BenchResult[]> {
  const nothing = await startIdleWebhook();
  try {
    await client.create(
      MutatingWebhookConfigurations,
      webhookConfiguration(meshed, `https://${injector.address}:9090/mutate-pod-creation`, injector.authority),
    );
    await client.create(MutatingWebhookConfigurations, webhookConfiguration(idle, nothing.url, nothing.authority));
    await eventually('the API server asks the injector', () => isInjected(client), { everyMs: 50 });
    const rates = new Map<string, number[]>([plain, idle, meshed].map((namespace) => [namespace, []]));
    for (const namespace of rates.keys()) await createPods(client, namespace, 'warm', 100);
    const before = cpuMs(injector.pid);
    // By turns, so that what else the machine does falls on all of them.
    for (let round = 0; round < rounds; round++) {
      for (const [namespace, list] of rates) list.push(await createPods(client, namespace, `round-${round}`, perRound));
    }
    const cpu = (cpuMs(injector.pid) - before) / (rounds * perRound);
    const rate = (namespace: string) => median(rates.get(namespace) ?? []);
    return [
      measured('admission.pods-through-api-server', '1/s', rate(meshed), { target: '>= 150' }),
      measured('admission.pods-against-no-webhook', '1/s', rate(meshed), { peer: rate(plain), target: '>= 0.5x' }),
      measured('admission.pods-against-idle-webhook', '1/s', rate(meshed), { peer: rate(idle) }),
      measured('admission.cpu-a-pod', 'ms', cpu, { target: '<= 1' }),
    ];
  } finally {
    nothing.close();
  }
}

async function isInjected(client: Client): Promise<boolean> {
  const [pod] = benchPods(meshed, 'probe');
  const stored = pod && (await client.create(Pods, pod, { dryRun: true }));
  return JSON.stringify(stored?.spec).includes('"osm-init"');
}

const rounds = 5;
const perRound = 180;

/** Pods a second, `concurrency` at a time. */
async function createPods(client: Client, namespace: string, name: string, count: number): Promise<number> {
  const pods = Array.from({ length: Math.ceil(count / 3) }, (_, index) => benchPods(namespace, `${name}-${index}`))
    .flat()
    .slice(0, count)
    .values();
  const started = performance.now();
  const worker = async () => {
    for (const pod of pods) await client.create(Pods, pod);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return (count * 1000) / (performance.now() - started);
}

async function makeMesh(client: Client): Promise<void> {
  const crd = parse(readFileSync('crds/mesh-config.yaml', 'utf8')) as KubeObject;
  await client.create(CustomResourceDefinitions, crd);
  const labels = { 'openservicemesh.io/monitored-by': 'osm', 'openservicemesh.io/sidecar-injection': 'enabled' };
  const spaces = [{ name: 'osm-system' }, { name: plain }, { name: idle }, { name: meshed, labels }];
  for (const metadata of spaces) await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata });
  await eventually('a MeshConfig can be stored', async () =>
    client.create(MeshConfigs, {
      apiVersion: 'config.openservicemesh.io/v1alpha2',
      kind: 'MeshConfig',
      metadata: { name: 'osm-mesh-config', namespace: 'osm-system' },
      spec: {},
    }),
  );
}

/** As the operator registers it, but for the address, and for one namespace. */
function webhookConfiguration(namespace: string, url: string, authority: string): KubeObject {
  const configuration = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: `osm-${namespace}` },
    webhooks: [
      {
        name: 'osm-inject.k8s.io',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        reinvocationPolicy: 'IfNeeded',
        timeoutSeconds: 5,
        clientConfig: { url, caBundle: Buffer.from(authority).toString('base64') },
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      },
    ],
  };
  return configuration;
}

/** All threads of a process. */
function pin(pid: number, cores: string): void {
  execFileSync('taskset', ['-acp', cores, String(pid)], { stdio: 'ignore' });
}

/** User and system time of a process so far, in ms. The kernel counts in hundredths of a second. */
function cpuMs(pid: number): number {
  // The name in brackets may hold spaces: fields are counted behind it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** How long the process's main thread has stood in line for a core so far, in ms. */
function waitedMs(pid: number): number {
  const [, nanoseconds] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ');
  return Number(nanoseconds) / 1e6;
}
