import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { COMPONENTS, type Component, commandOf, componentNamed, writeConfiguration } from './components.ts';
import { bringDown } from './down.ts';
import { buildImage, buildImages } from './image-store.ts';
import type { ImageRecipe } from './images.ts';
import { loadArchive, loadStored, presentImages } from './image-load.ts';
import { ADDRESSES, CLUSTER_DOMAIN, kubeconfigOf, type Layout, layoutOf } from './layout.ts';
import { withLock } from './lock.ts';
import { networkExists } from './network.ts';
import { type RunResult, run } from './process.ts';
import { ensureKube } from './programs.ts';
import { logOf, logTail, start, stateOf, stop } from './supervisor.ts';
import { bringUp, type UpOptions } from './up.ts';
import { waitFor } from './wait.ts';

export type Say = (line: string) => void;

/** What a cluster looks like from outside, in one value. */
export interface ClusterStatus {
  readonly name: string;
  /** `up`: all components run and the node is Ready; `down`: none runs; `degraded`: anything between. */
  readonly state: 'up' | 'degraded' | 'down';
  readonly components: readonly { readonly name: Component; readonly running: boolean; readonly pid?: number }[];
  readonly nodeReady: boolean;
  readonly dnsReady: boolean;
  /** Image name → digest of its manifest. */
  readonly images: Readonly<Record<string, string>>;
  readonly netns: string;
  readonly kubeconfig: string;
}

/**
 * A real one-node Kubernetes in a network namespace of its own. All of it is found by its name, so any process can hold
 * one of these for the same cluster; what changes it is done by one process at a time.
 */
export class Cluster {
  readonly name: string;
  /** Whether its components can be stopped and started here: true, since it is ours. */
  readonly ours = true;
  private readonly layout: Layout;

  constructor(name: string) {
    this.name = name;
    this.layout = layoutOf(name);
  }

  /** Path of the network namespace, for `nsenter --net=`. The API server listens on its loopback. */
  get netnsPath(): string {
    return this.layout.netns;
  }

  /** Path of the administrator's kubeconfig; it works inside the network namespace. */
  get kubeconfigPath(): string {
    return kubeconfigOf(this.layout, 'admin');
  }

  /** Path of the PEM key (P-256) that signs service-account tokens. */
  get serviceAccountKeyPath(): string {
    return join(this.layout.pki, 'sa.key');
  }

  /** The PEM key (PKCS #8, P-256) that signs service-account tokens. */
  serviceAccountKey(): string | undefined {
    return readFileSync(this.serviceAccountKeyPath, 'utf8');
  }

  /**
   * Brings the cluster up, or back to health, and ends when node and DNS are Ready and the images are in. Changes nothing
   * that is right already. Rejects with the failing component's last lines.
   */
  up(say: Say, options: UpOptions = {}): Promise<void> {
    return this.exclusively(say, () => bringUp(this.layout, this, say, options));
  }

  /** Ends and removes everything of the cluster: processes, mounts, network namespace, cgroups, files. */
  down(say: Say = () => undefined): Promise<void> {
    return this.exclusively(say, async () => {
      await bringDown(this.layout, say);
      await rm(this.lock, { force: true });
    });
  }

  async status(): Promise<ClusterStatus> {
    const components = COMPONENTS.map((name) => {
      const state = stateOf(name, this.layout);
      return state.running ? { name, running: true, pid: state.pid } : { name, running: false };
    });
    const running = components.filter((component) => component.running).length;
    const [nodeReady, dnsReady] =
      running === 0 ? [false, false] : await Promise.all([this.nodeReady(), this.deploymentReady('coredns')]);
    const images = stateOf('containerd', this.layout).running
      ? await presentImages(this.layout)
      : new Map<string, string>();
    const healthy = running === components.length && nodeReady && dnsReady;
    return {
      name: this.name,
      state: running === 0 ? 'down' : healthy ? 'up' : 'degraded',
      components,
      nodeReady,
      dnsReady,
      // The CRI registers each image a second time under its configuration's digest.
      images: Object.fromEntries(
        [...images].filter(([name]) => !name.startsWith('sha256:')).toSorted(([a], [b]) => a.localeCompare(b)),
      ),
      netns: this.netnsPath,
      kubeconfig: this.kubeconfigPath,
    };
  }

  /** Runs kubectl as the cluster's administrator and returns what it said, whatever its exit code. */
  async kubectl(args: readonly string[], options: { readonly input?: string } = {}): Promise<RunResult> {
    const [command = '', ...rest] = await this.kubectlCommand(args);
    return run(command, rest, options);
  }

  /** Starts kubectl and returns its process, for what goes on: port-forward, logs --follow, exec. */
  spawnKubectl(args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    // `kubectl` is found on the PATH that spawnInside gives.
    return this.spawnInside('kubectl', args, options);
  }

  /** Starts a command inside the network namespace, with KUBECONFIG and kubectl set up for it. */
  spawnInside(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [nsenter = '', ...rest] = this.enter([command, ...args]);
    return spawn(nsenter, rest, options);
  }

  /** The command line that runs `command` inside the network namespace, with KUBECONFIG and kubectl set up for it. */
  enter(command: readonly string[]): string[] {
    if (!networkExists(this.layout)) throw new Error(this.notUp());
    const link = join(this.layout.state, 'bin');
    return [
      ...['nsenter', `--net=${this.netnsPath}`, '--', 'env'],
      ...[`KUBECONFIG=${this.kubeconfigPath}`, `PATH=${link}:${process.env['PATH'] ?? ''}`, ...command],
    ];
  }

  async stopComponent(name: string): Promise<void> {
    const component = componentNamed(name);
    await this.exclusively(undefined, () => stop(component, this.layout));
  }

  /** Starts a component that does not run. Does nothing when it does. */
  async startComponent(name: string): Promise<void> {
    const component = componentNamed(name);
    await this.exclusively(undefined, () => this.startNow(component));
  }

  async restartComponent(name: string): Promise<void> {
    const component = componentNamed(name);
    await this.exclusively(undefined, async () => {
      await stop(component, this.layout);
      await this.startNow(component);
    });
  }

  /** All that a component has logged since its log was last cut. */
  logs(name: string): string {
    const path = this.logPath(name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  logPath(name: string): string {
    return logOf(componentNamed(name), this.layout);
  }

  /** Builds what has changed of the checkout's images and imports it. Returns the names of those that were imported. */
  async loadImages(say: Say = () => undefined): Promise<string[]> {
    const images = await buildImages(say);
    return this.exclusively(say, () => loadStored(this.layout, images));
  }

  /** Builds and imports one more image, unless it is there just so. */
  async loadImage(recipe: ImageRecipe, say: Say = () => undefined): Promise<void> {
    const image = await buildImage(recipe, say);
    await this.exclusively(say, () => loadStored(this.layout, [image]));
  }

  /** Imports image archives of one's own (docker or OCI). Returns the images' names. */
  async loadArchives(archives: readonly string[]): Promise<string[]> {
    const names: string[] = [];
    for (const archive of archives) names.push(...(await loadArchive(this.layout, archive)));
    return names;
  }

  async nodeReady(): Promise<boolean> {
    const { stdout } = await this.kubectl([
      ...['get', 'nodes', '--request-timeout=3s'],
      ...['-o', 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'],
    ]);
    return stdout === 'True';
  }

  async deploymentReady(name: string, namespace = 'kube-system'): Promise<boolean> {
    const { stdout } = await this.kubectl([
      ...['get', 'deployment', name, '--namespace', namespace, '--request-timeout=3s', '--ignore-not-found'],
      ...['-o', 'jsonpath={.metadata.generation}/{.status.observedGeneration}/{.status.readyReplicas}'],
    ]);
    const [generation, observed, ready] = stdout.split('/');
    return generation !== undefined && generation === observed && Number(ready) > 0;
  }

  /** Whether cluster DNS answers at its service's addresses, both families: then CNI, kube-proxy and CoreDNS work. */
  async dnsAnswers(): Promise<boolean> {
    const script = `
      const { Resolver } = require('node:dns').promises;
      const ask = (server) => {
        const resolver = new Resolver({ timeout: 1000, tries: 1 });
        resolver.setServers([server]);
        return resolver.resolve4('kubernetes.default.svc.${CLUSTER_DOMAIN}');
      };
      Promise.all(${JSON.stringify([ADDRESSES.dns[0], `[${ADDRESSES.dns[1]}]`])}.map(ask)).catch(() => process.exit(1));`;
    const [command = '', ...rest] = this.enter([process.execPath, '-e', script]);
    return (await run(command, rest)).code === 0;
  }

  private async startNow(component: Component): Promise<void> {
    if (!networkExists(this.layout)) throw new Error(this.notUp());
    if (stateOf(component, this.layout).running) return;
    writeConfiguration(this.layout);
    start(component, this.layout, commandOf(component, this.layout, await ensureKube()));
    // A busy machine takes a moment until the process is itself, in the cluster's network.
    await waitFor(`${component} runs`, 10_000, async () => stateOf(component, this.layout).running, {
      state: async () => logTail(component, this.layout),
    });
  }

  private async kubectlCommand(args: readonly string[]): Promise<string[]> {
    const kubectl = join(dirname(await ensureKube()), 'kubectl');
    return this.enter([kubectl, ...args]);
  }

  private get lock(): string {
    return `${this.layout.state}.lock`;
  }

  private exclusively<T>(say: Say | undefined, work: () => Promise<T>): Promise<T> {
    return withLock(this.lock, () => say?.(`waiting for another process that works on cluster ${this.name}`), work);
  }

  private notUp(): string {
    return `cluster ${this.name} is not up: run "npm run cluster -- up --name ${this.name}"`;
  }
}
