/**
 * What e2e tests do to a cluster: kubectl in a few words, calls from inside pods, loads and captures. The cluster is the one
 * that `test/run.ts` brought up (OSM_TEST_CLUSTER), or another one by OSM_TEST_CONTEXT.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageRecipe } from '#test/cluster/images.ts';
import { clusterFor } from '#test/cluster/target.ts';
import { eventually } from '#test/support/eventually.ts';
import { loadCommand, type LoadOptions, type LoadReport, readReport } from './load-report.ts';
import { oneOffPod } from './manifests.ts';

const ROOT = new URL('../../../', import.meta.url);
const MESH = ['meshconfig', 'osm-mesh-config', '-n', 'osm-system'];
const target = clusterFor({
  name: process.env['OSM_TEST_CLUSTER'] ?? 'osm-test',
  context: process.env['OSM_TEST_CONTEXT'],
});

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function run(args: readonly string[], options: { input?: string } = {}): Promise<Result> {
  return target.kubectl([...args], options);
}

async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(args, input === undefined ? {} : { input });
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: exit code ${code}\n${stderr}${stdout}`);
  return stdout;
}

async function json<T>(args: readonly string[]): Promise<T> {
  return JSON.parse(await kubectl([...args, '-o', 'json'])) as T;
}

const list = (objects: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });

async function apply(objects: readonly object[]): Promise<void> {
  await kubectl(['apply', '-f', '-'], list(objects));
}

async function remove(objects: readonly object[]): Promise<void> {
  await kubectl(['delete', '--wait=false', '--ignore-not-found', '-f', '-'], list(objects));
}

async function rolledOut(namespace: string, ...deployments: string[]): Promise<void> {
  for (const name of deployments) {
    try {
      await kubectl(['rollout', 'status', '-n', namespace, `deployment/${name}`, '--timeout=120s']);
    } catch (error) {
      const pods = await run(['describe', 'pods', '-n', namespace, '-l', `app=${name}`]);
      throw new Error(`${String(error)}\n${pods.stdout.slice(-6000)}`, { cause: error });
    }
  }
}

async function pods(namespace: string, app: string): Promise<PodJson[]> {
  const { items } = await json<{ items: PodJson[] }>(['get', 'pods', '-n', namespace, '-l', `app=${app}`]);
  return items.filter((pod) => pod.metadata.deletionTimestamp === undefined);
}

interface PodJson {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly status: { readonly podIP: string; readonly podIPs: readonly { readonly ip: string }[] };
}

async function pod(namespace: string, app: string): Promise<{ name: string; uid: string; ips: string[] }> {
  const [first] = await pods(namespace, app);
  if (first === undefined) throw new Error(`${namespace} has no pod with app=${app}`);
  return { name: first.metadata.name, uid: first.metadata.uid, ips: first.status.podIPs.map(({ ip }) => ip) };
}

/** Calls a URL from inside an application's container. Rejects when curl does, with its exit code. */
async function curl(namespace: string, app: string, url: string, ...extra: string[]): Promise<HttpAnswer> {
  const inPod = [
    'exec',
    '-n',
    namespace,
    `deployment/${app}`,
    '-c',
    'app',
    '--',
    'curl',
    '-sS',
    '-i',
    '-g',
    '--max-time',
    '8',
  ];
  const { code, stdout, stderr } = await run([...inPod, ...extra, url]);
  if (code !== 0)
    throw new Error(
      `curl ${url} from ${namespace}/${app}: exit code ${/exit code (\d+)/.exec(stderr)?.[1] ?? code}: ${stderr}`,
    );
  const split = stdout.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = stdout.slice(0, split).split('\r\n');
  const headers = lines.map(
    (line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const,
  );
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: Object.fromEntries(headers),
    body: stdout.slice(split + 4),
  };
}

/** Everything that a TCP port says within two seconds to a caller that says nothing. */
async function netcat(namespace: string, app: string, host: string, port: number): Promise<string> {
  const script = `timeout 2 nc ${host} ${port} 2>/dev/null < <(sleep 3) | head -c 200; true`;
  return kubectl(['exec', '-n', namespace, `deployment/${app}`, '-c', 'app', '--', 'bash', '-c', script]);
}

export interface Background {
  readonly output: () => string;
  readonly exited: Promise<void>;
  /** Ends kubectl. What it runs in the pod goes on, unless it heeds the end of its input. */
  readonly stop: () => void;
  /** Ends the input of a command that was started with `input`; `exited` follows with the last of its output. */
  readonly end: () => void;
}

/** Runs a command in an application's container until it ends. With `input`, its standard input is open until `end`. */
async function background(
  namespace: string,
  app: string,
  command: readonly string[],
  options: { readonly input?: boolean } = {},
): Promise<Background> {
  const { name } = await pod(namespace, app);
  const input = options.input === true ? ['-i'] : [];
  const child = target.spawnKubectl(['exec', ...input, '-n', namespace, name, '-c', 'app', '--', ...command]);
  return follow(child);
}

function follow(child: ChildProcess): Background {
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<void>((resolve) => child.on('close', () => resolve()));
  return { output: () => output, exited, stop: () => child.kill('SIGTERM'), end: () => child.stdin?.end() };
}

/** Starts a bounded load from inside a pod. `finish` waits for its end and returns what it saw. */
async function load(
  namespace: string,
  app: string,
  url: string,
  options: LoadOptions,
): Promise<{ finish(): Promise<LoadReport> }> {
  const running = await background(namespace, app, loadCommand(url, options));
  return {
    finish: async () => {
      await running.exited;
      return readReport(running.output());
    },
  };
}

/** The same from a pod of its own, whose report is read from its log: for when the API server itself goes away meanwhile. */
async function loadPod(
  namespace: string,
  name: string,
  url: string,
  options: LoadOptions,
): Promise<{ finish(): Promise<LoadReport> }> {
  await apply([oneOffPod(namespace, name, loadCommand(url, options))]);
  const phase = async (): Promise<string> =>
    (await json<{ status: { phase: string } }>(['get', 'pod', '-n', namespace, name])).status.phase;
  await eventually(`${name} runs`, async () => (await phase()) === 'Running');
  return {
    finish: async () => {
      await eventually(`${name} has ended`, async () => (await phase()) === 'Succeeded', { deadlineMs: 120_000 });
      return readReport(await kubectl(['logs', '-n', namespace, name, '-c', 'app']));
    },
  };
}

/**
 * Captures what crosses the pods' bridge, until stopped. Packets are handed over one by one (`--immediate-mode`): the kernel would
 * else keep up to a second of them in a block that is lost when the capture is interrupted.
 */
async function capture(filter: string): Promise<{ size(): number; stop(): Promise<Buffer> }> {
  const directory = mkdtempSync(join(tmpdir(), 'osm-capture-'));
  const file = join(directory, 'capture.pcap');
  const child = spawn('tcpdump', ['-i', 'any', '--immediate-mode', '-U', '-s', '0', '-w', file, filter], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const { output } = follow(child);
  await eventually('tcpdump listens', async () => output().includes('listening'), { state: async () => output() });
  return {
    size: () => (existsSync(file) ? statSync(file).size : 0),
    stop: async () => {
      child.kill('SIGINT');
      await new Promise((resolve) => child.on('exit', resolve));
      const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
      rmSync(directory, { recursive: true, force: true });
      return bytes;
    },
  };
}

async function install(): Promise<void> {
  await kubectl(['apply', '--server-side', '--force-conflicts', '-f', new URL('deploy/install.yaml', ROOT).pathname]);
}

async function meshIsReady(): Promise<void> {
  await eventually(
    'the mesh is Ready',
    async () => {
      const mesh = await json<{
        metadata: { generation: number };
        status?: { observedGeneration?: number; conditions?: { type: string; status: string }[] };
      }>(['get', ...MESH]);
      const ready = mesh.status?.conditions?.find((condition) => condition.type === 'Ready');
      return mesh.status?.observedGeneration === mesh.metadata.generation && ready?.status === 'True';
    },
    { deadlineMs: 120_000, state: async () => (await run(['get', ...MESH, '-o', 'yaml'])).stdout },
  );
}

async function applyMeshConfig(): Promise<void> {
  await kubectl(['apply', '-f', new URL('crds/examples/meshconfig.yaml', ROOT).pathname]);
  await meshIsReady();
}

/** Installs the mesh if it is not there yet. */
async function meshIsUp(): Promise<void> {
  if ((await run(['get', ...MESH])).code !== 0) {
    await install();
    await applyMeshConfig();
  }
  await meshIsReady();
}

/** A condition of the MeshConfig. */
export interface MeshCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

async function meshCondition(type: string): Promise<MeshCondition> {
  const mesh = await json<{ status: { conditions: readonly MeshCondition[] } }>(['get', ...MESH]);
  const found = mesh.status.conditions.find((each) => each.type === type);
  if (found === undefined) throw new Error(`the MeshConfig has no condition ${type}`);
  return found;
}

async function patchMeshConfig(patch: object): Promise<void> {
  await kubectl(['patch', ...MESH, '--type', 'merge', '-p', JSON.stringify(patch)]);
}

async function scale(namespace: string, deployment: string, replicas: number): Promise<void> {
  await kubectl(['scale', '-n', namespace, `deployment/${deployment}`, `--replicas=${replicas}`]);
  if (replicas > 0) return rolledOut(namespace, deployment);
  // Also those that are on their way out: an operator that is just ending still repairs what a test takes away.
  await eventually(`the last pod of ${deployment} has ended`, async () => {
    const { stdout } = await run(['get', 'pods', '-n', namespace, '-l', `app=${deployment}`, '-o', 'name']);
    return stdout.trim() === '';
  });
}

/** Resource versions of what the operator makes: equal before and after means that nothing was written. */
async function controlPlaneVersions(): Promise<string[]> {
  const { items } = await json<{ items: { metadata: { name: string; generation?: number } }[] }>([
    'get',
    'deployments',
    '-n',
    'osm-system',
  ]);
  return items.map(({ metadata }) => `${metadata.name} ${metadata.generation}`).sort();
}

async function controllerEndpoint(): Promise<{ address: string; ca: string }> {
  const service = await json<{ spec: { clusterIP: string } }>(['get', 'service', '-n', 'osm-system', 'osm-controller']);
  const secret = await json<{ data: Record<string, string> }>([
    'get',
    'secret',
    '-n',
    'osm-system',
    'osm-control-plane-ca',
  ]);
  return {
    address: `${service.spec.clusterIP}:15128`,
    ca: Buffer.from(secret.data['ca.crt'] ?? '', 'base64').toString(),
  };
}

export const lab = {
  run,
  kubectl,
  json,
  apply,
  remove,
  rolledOut,
  pod,
  podIp: async (namespace: string, app: string): Promise<string> => (await pod(namespace, app)).ips[0]!,
  podIps: async (namespace: string, app: string): Promise<string[]> => (await pod(namespace, app)).ips,
  curl,
  netcat,
  background,
  load,
  loadPod,
  capture,
  install,
  applyMeshConfig,
  meshIsUp,
  meshIsReady,
  meshCondition,
  patchMeshConfig,
  meshConfigPatch: ['patch', ...MESH, '--type', 'merge', '-p'],
  setPermissive: async (value: boolean): Promise<void> => {
    await patchMeshConfig({ spec: { traffic: { enablePermissiveTrafficPolicyMode: value } } });
  },
  scale,
  /** With the operator away, nothing repairs what a test takes away. */
  pauseOperator: () => scale('osm-system', 'osm-operator', 0),
  resumeOperator: () => scale('osm-system', 'osm-operator', 2),
  controlPlaneVersions,
  controllerEndpoint,
  canStopComponents: target.ours,
  loadImage: (recipe: ImageRecipe): Promise<void> => target.loadImage(recipe),
  restartComponent: (name: string): Promise<void> => target.restartComponent(name),
  serviceAccountKey: (): string | undefined => target.serviceAccountKey(),
};
