import { existsSync } from 'node:fs';
import { chmod, mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { dnsObjects } from './addons.ts';
import { clusterProcesses, makeCgroups } from './cgroups.ts';
import { COMPONENTS, type Component, commandOf, writeConfiguration } from './components.ts';
import { releaseRuntime } from './down.ts';
import { loadStored } from './image-load.ts';
import { buildImages } from './image-store.ts';
import { type Layout, NODE_NAME } from './layout.ts';
import { makeNetwork, networkExists, raiseInotifyLimits } from './network.ts';
import { ensureSystemPackages } from './packages.ts';
import { ensurePki } from './pki.ts';
import { lastLines, type RunResult, run } from './process.ts';
import { ensureCoreDns, ensureEnvoy, ensureKube } from './programs.ts';
import { failIfOneDied, start, stateOf, stop } from './supervisor.ts';
import { waitFor } from './wait.ts';

export interface UpOptions {
  /** `all` (default): every image whose Dockerfile is in the checkout; `essential`: what the cluster itself needs. */
  readonly images?: 'all' | 'essential';
}

/** What `up` asks of the cluster that it brings up. */
export interface Probes {
  kubectl(args: readonly string[], options?: { readonly input?: string }): Promise<RunResult>;
  nodeReady(): Promise<boolean>;
  deploymentReady(name: string): Promise<boolean>;
  dnsAnswers(): Promise<boolean>;
}

/** Brings a cluster up: see Cluster.up. The caller holds the cluster's lock. */
export async function bringUp(
  layout: Layout,
  probes: Probes,
  tell: (line: string) => void,
  options: UpOptions,
): Promise<void> {
  const began = performance.now();
  const say = (line: string): void => tell(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${line}`);
  await ensureSystemPackages(say);
  const kube = await ensureKube(say);
  await ensureCoreDns(say);
  if (options.images !== 'essential') await ensureEnvoy(say);
  for (const raised of raiseInotifyLimits()) say(`raised ${raised}`);

  await prepare(layout, kube);
  const guard = (): void => failIfOneDied(layout);
  const launch = async (...components: Component[]): Promise<void> => {
    for (const component of components) if (await ensureRunning(component, layout, kube)) say(`started ${component}`);
  };
  await launch('containerd', 'etcd', 'apiserver');
  await waitFor('containerd answers', 30_000, () => containerdAnswers(layout), { guard });
  // Before the kubelet starts: a pod that misses its image once waits ten seconds before it looks again.
  await importImages(layout, say, 'essential');
  const rest = options.images === 'essential' ? undefined : importImages(layout, say, 'all');
  rest?.catch(() => undefined); // awaited below; until then its failure is nobody's unhandled one
  await waitFor('the API server is ready', 90_000, () => succeeds(probes, ['get', '--raw', '/readyz']), { guard });
  // Controller manager and scheduler exit when they find their rights missing, which the API server makes once it is ready.
  await waitFor('the API server has made its own objects', 30_000, () => hasOwnObjects(probes), { guard });
  say('the API server is ready');
  await launch('controller-manager', 'scheduler', 'kubelet', 'kube-proxy');
  await applyDns(probes);
  await waitFor('the node is Ready', 60_000, () => probes.nodeReady(), {
    guard,
    state: () => describe(probes, 'node', NODE_NAME),
  });
  say('the node is Ready');
  await waitFor('CoreDNS is Ready', 90_000, () => probes.deploymentReady('coredns'), {
    guard,
    state: () => describe(probes, 'pods', '--namespace=kube-system', '--selector=k8s-app=kube-dns'),
  });
  // A status that was written before a reboot says Ready too: only an answer proves it.
  await waitFor('cluster DNS answers', 60_000, () => probes.dnsAnswers(), { guard });
  say('CoreDNS is Ready and answers');
  const account = ['get', 'serviceaccount', 'default', '--namespace=default'];
  await waitFor('the default service account is there', 30_000, () => succeeds(probes, account), { guard });
  try {
    await rest;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(
      `cluster ${layout.name} runs, but its images are not in (with --images essential it does without):\n${message}`,
      { cause: error },
    );
  }
  guard();
  say(`cluster ${layout.name} is up`);
}

async function importImages(layout: Layout, say: (line: string) => void, which: 'all' | 'essential'): Promise<void> {
  const images = await buildImages(say, { essentialOnly: which === 'essential' });
  const loaded = await loadStored(layout, images);
  if (loaded.length > 0) say(`imported ${loaded.map(shortName).join(' ')}`);
}

/** Files, cgroups and network, and a clean slate where the network is new: nothing that runs could be in it. */
async function prepare(layout: Layout, kube: string): Promise<void> {
  if (!networkExists(layout) && (clusterProcesses(layout).length > 0 || existsSync(layout.run)))
    await releaseRuntime(layout);
  await mkdir(layout.state, { recursive: true });
  await chmod(layout.state, 0o700);
  await ensurePki(layout);
  writeConfiguration(layout);
  const bin = join(layout.state, 'bin');
  await rm(bin, { recursive: true, force: true });
  await mkdir(bin);
  await symlink(join(dirname(kube), 'kubectl'), join(bin, 'kubectl'));
  makeCgroups(layout);
  await makeNetwork(layout);
  // What died earlier is no failure of this start: from here on only what this start found or started is watched.
  for (const component of COMPONENTS) if (!stateOf(component, layout).running) await stop(component, layout);
}

/** Starts a component unless it runs as it should. Returns whether it had to. */
async function ensureRunning(component: Component, layout: Layout, kube: string): Promise<boolean> {
  const state = stateOf(component, layout);
  if (state.running) return false;
  await stop(component, layout);
  start(component, layout, commandOf(component, layout, kube));
  return true;
}

async function containerdAnswers(layout: Layout): Promise<boolean> {
  if (!existsSync(layout.containerdSocket)) return false;
  return (await run('ctr', ['--address', layout.containerdSocket, '--timeout', '3s', 'version'])).code === 0;
}

async function hasOwnObjects(probes: Probes): Promise<boolean> {
  const found = await Promise.all([
    succeeds(probes, ['get', 'clusterrole', 'system:kube-controller-manager']),
    succeeds(probes, ['get', 'configmap', 'extension-apiserver-authentication', '--namespace=kube-system']),
    succeeds(probes, ['get', 'priorityclass', 'system-cluster-critical']),
  ]);
  return !found.includes(false);
}

async function succeeds(probes: Probes, args: readonly string[]): Promise<boolean> {
  return (await probes.kubectl([...args, '--request-timeout=3s'])).code === 0;
}

async function applyDns(probes: Probes): Promise<void> {
  const input = JSON.stringify(dnsObjects);
  const { code, stderr } = await probes.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
  if (code !== 0) throw new Error(`the objects of cluster DNS were refused:\n${stderr}`);
}

async function describe(probes: Probes, ...what: string[]): Promise<string> {
  return lastLines((await probes.kubectl(['describe', ...what])).stdout, 25);
}

function shortName(image: string): string {
  return image.replace(/^.*\//u, '');
}
