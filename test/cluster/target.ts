import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { Cluster, type Say } from './cluster.ts';
import type { ImageRecipe } from './images.ts';
import { type RunResult, run } from './process.ts';

/** What demo and end-to-end tests may do to a cluster, ours or somebody else's. */
export interface Target {
  readonly name: string;
  /** Whether this is a cluster of ours, whose components can be stopped and whose keys can be read. */
  readonly ours: boolean;
  up(say: Say): Promise<void>;
  down(say?: Say): Promise<void>;
  kubectl(args: readonly string[], options?: { readonly input?: string }): Promise<RunResult>;
  spawnKubectl(args: readonly string[], options?: SpawnOptions): ChildProcess;
  /** The command line that runs `command` where the cluster's addresses are reachable. */
  enter(command: readonly string[]): string[];
  spawnInside(command: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  loadImages(say?: Say): Promise<string[]>;
  loadImage(recipe: ImageRecipe, say?: Say): Promise<void>;
  stopComponent(name: string): Promise<void>;
  startComponent(name: string): Promise<void>;
  restartComponent(name: string): Promise<void>;
  logs(component: string): string;
  /** PEM of the key that signs service-account tokens; undefined where it is not ours to have. */
  serviceAccountKey(): string | undefined;
}

/** Thrown where a step needs a cluster of ours: a test that meets it is skipped, not failed. */
export class SkippedError extends Error {
  constructor(what: string, context: string) {
    super(`skipped: ${what} needs a cluster of ours, and context "${context}" is somebody else's`);
    this.name = 'SkippedError';
  }
}

/** The cluster of that name, or with `context` the one that this context of the user's kubeconfig names. */
export function clusterFor(which: {
  readonly name?: string | undefined;
  readonly context?: string | undefined;
}): Target {
  return which.context === undefined ? new Cluster(which.name ?? 'osm') : new ForeignCluster(which.context);
}

/** Somebody else's cluster: kubectl works, through the user's own kubeconfig, and nothing else is touched. */
class ForeignCluster implements Target {
  readonly name: string;
  readonly ours = false;

  constructor(context: string) {
    this.name = context;
  }

  /** Makes nothing: finds out that the cluster answers. */
  async up(say: Say): Promise<void> {
    const { code, stderr } = await this.kubectl(['version', '--request-timeout=10s']);
    if (code !== 0) throw new Error(`context "${this.name}" does not answer:\n${stderr}`);
    say(`context ${this.name} answers; its images are its own affair`);
  }

  /** Takes nothing away: the cluster is not ours. */
  down(): Promise<void> {
    return Promise.resolve();
  }

  kubectl(args: readonly string[], options: { readonly input?: string } = {}): Promise<RunResult> {
    return run('kubectl', ['--context', this.name, ...args], options);
  }

  spawnKubectl(args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    return spawn('kubectl', ['--context', this.name, ...args], options);
  }

  enter(command: readonly string[]): string[] {
    return [...command];
  }

  spawnInside(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    return spawn(command, args, options);
  }

  loadImages(): Promise<string[]> {
    return this.skip('loading images');
  }

  loadImage({ name }: ImageRecipe): Promise<never> {
    return this.skip(`loading ${name}`);
  }

  stopComponent(name: string): Promise<void> {
    return this.skip(`stopping ${name}`);
  }

  startComponent(name: string): Promise<void> {
    return this.skip(`starting ${name}`);
  }

  restartComponent(name: string): Promise<void> {
    return this.skip(`restarting ${name}`);
  }

  logs(component: string): string {
    throw new SkippedError(`reading the log of ${component}`, this.name);
  }

  serviceAccountKey(): undefined {
    return undefined;
  }

  private skip(what: string): Promise<never> {
    return Promise.reject(new SkippedError(what, this.name));
  }
}
