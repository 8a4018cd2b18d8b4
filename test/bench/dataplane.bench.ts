/**
 * What a sidecar pair of ours costs, beside the smallest pair of Envoys that does mTLS (dataplane-plain.ts): latency at a
 * fixed rate, throughput without limit, and processor time of a request. All on loopback, on one machine, in one session;
 * the two pairs take turns, so that what else the machine does hits both.
 */
import type { AccountKey } from '#mesh/identity.ts';
import { type Bootstrap, type RunningEnvoy, freePort, startEnvoy } from '#test/support/envoy.ts';
import { testAuthority } from '#test/support/mesh-certificates.ts';
import { CLIENT, REQUEST, SERVER, meshPair } from './dataplane-mesh.ts';
import { application, plainClient, plainServer } from './dataplane-plain.ts';
import {
  LOAD_CPU,
  PAIR_CPU,
  type Target,
  cpuMicroseconds,
  ensureWrk,
  latencies,
  machineMicroseconds,
  throughput,
} from './dataplane-tools.ts';
import { type Bench, type BenchResult, measured, median, quantile } from './result.ts';

const ROUNDS = Number(process.env['OSM_BENCH_ROUNDS'] ?? 9);
/** Rounds that make the figures. */
const COUNTED = 5;
/** Short, so that the pairs take turns often and what else the machine does falls on both. */
const SECONDS = 3;
const WARM_UP_SECONDS = 1;
/** Requests a second at which latency is taken. */
const RATE = 500;
/** Kept-alive connections of the unlimited load. */
const CONNECTIONS = 32;

/** Addresses of loopback: where the application calls, and where the server's sidecar is. */
const addresses = {
  mesh: { service: '127.0.11.1', pod: '127.0.12.1' },
  plain: { service: '127.0.11.2', pod: '127.0.12.2' },
} as const;

type Figure = 'p50' | 'p99' | 'rate' | 'cpu';
type Sample = Readonly<Record<Figure, number>>;

/** Both pairs, one after the other. */
interface Round {
  readonly mesh: Sample;
  readonly plain: Sample;
  /** Processors that somebody else had meanwhile, on average. */
  readonly disturbance: number;
}

interface Pair {
  readonly name: 'mesh' | 'plain';
  readonly target: Target;
  readonly envoys: readonly RunningEnvoy[];
}

export const bench: Bench = async () => {
  await ensureWrk();
  const started: RunningEnvoy[] = [];
  try {
    const pairs = await startPairs(started);
    for (const { target } of pairs) await throughput(target, WARM_UP_SECONDS, CONNECTIONS);
    const rounds: Round[] = [];
    for (let index = 0; index < ROUNDS; index += 1) {
      rounds.push(await playRound(index % 2 === 0 ? pairs : pairs.toReversed(), started));
    }
    return results(quietest(rounds));
  } finally {
    await Promise.all(started.map((it) => it.stop()));
  }
};

async function startPairs(started: RunningEnvoy[]): Promise<[mesh: Pair, plain: Pair]> {
  const [port, authority] = [await freePort('0.0.0.0'), await testAuthority()];
  const [client, server] = await Promise.all([CLIENT, SERVER].map((it) => authority.issue(it as AccountKey)));
  if (client === undefined || server === undefined) throw new Error('unreachable: two were asked for');
  const start = async (
    bootstrap: Bootstrap,
    through: readonly string[],
    concurrency: number,
  ): Promise<RunningEnvoy> => {
    const envoy = await startEnvoy(bootstrap, { through, concurrency });
    started.push(envoy);
    return envoy;
  };
  const pair = async (name: 'mesh' | 'plain', bootstraps: { client: Bootstrap; server: Bootstrap }): Promise<Pair> => ({
    name,
    target: { address: addresses[name].service, port, ...REQUEST },
    envoys: [await start(bootstraps.server, PAIR_CPU, 2), await start(bootstraps.client, PAIR_CPU, 2)],
  });
  const local = { address: '127.0.0.1', port };
  const { service, pod } = addresses.plain;
  await start(application(local), LOAD_CPU, 1);
  return [
    await pair('mesh', meshPair({ ...addresses.mesh, port, client, server })),
    await pair('plain', {
      client: plainClient({ address: service, port }, { address: pod, port }, client),
      server: plainServer({ address: pod, port }, local, server),
    }),
  ];
}

/** Who goes first changes from round to round. */
async function playRound(pairs: readonly Pair[], envoys: readonly RunningEnvoy[]): Promise<Round> {
  const pids = envoys.map(({ pid }) => pid);
  const [began, before] = [performance.now(), machineMicroseconds(pids)];
  const samples = new Map<Pair['name'], Sample>();
  for (const pair of pairs) samples.set(pair.name, await measure(pair));
  const [mesh, plain, after] = [samples.get('mesh'), samples.get('plain'), machineMicroseconds(pids)];
  if (mesh === undefined || plain === undefined) throw new Error('unreachable: a round has both pairs');
  const others = after.all - before.all - (after.ours - before.ours);
  const disturbance = Math.max(0, others / ((performance.now() - began) * 1000));
  console.error(`[dataplane] round: others had ${disturbance.toFixed(2)} processors`);
  return { mesh, plain, disturbance };
}

async function measure({ name, target, envoys }: Pair): Promise<Sample> {
  const times = await latencies(target, RATE, SECONDS);
  const before = cpuOf(envoys);
  const rate = await throughput(target, SECONDS, CONNECTIONS);
  const taken = {
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    rate,
    cpu: (cpuOf(envoys) - before) / (rate * SECONDS),
  };
  console.error(
    `[dataplane] ${name.padEnd(5)} p50 ${taken.p50.toFixed(3)} ms, p99 ${taken.p99.toFixed(3)} ms, ` +
      `${taken.rate.toFixed(0)}/s, ${taken.cpu.toFixed(1)} µs of processor a request`,
  );
  return taken;
}

/**
 * The rounds that count: those in which the machine did the least besides, chosen by that alone. When even these were
 * disturbed, the figures are of a shared machine, and it says so.
 */
function quietest(rounds: readonly Round[]): Round[] {
  const chosen = rounds.toSorted((a, b) => a.disturbance - b.disturbance).slice(0, COUNTED);
  const worst = Math.max(...chosen.map(({ disturbance }) => disturbance));
  if (worst > 0.1) {
    console.error(
      `[dataplane] NOT QUIET: others had up to ${worst.toFixed(2)} processors; run it again on a quiet machine`,
    );
  }
  return chosen;
}

function cpuOf(envoys: readonly RunningEnvoy[]): number {
  return envoys.reduce((sum, { pid }) => sum + cpuMicroseconds(pid), 0);
}

function results(rounds: readonly Round[]): BenchResult[] {
  const figure = (name: string, unit: string, key: Figure, target?: string): BenchResult => {
    const [mesh, plain] = [rounds.map((it) => it.mesh[key]), rounds.map((it) => it.plain[key])];
    console.error(`[dataplane] ${name}: mesh ${spread(mesh)}, plain ${spread(plain)} ${unit}`);
    const options = { peer: median(plain), ...(target === undefined ? {} : { target }) };
    return measured(name, unit, median(mesh), options);
  };
  return [
    figure(`latency p50 at ${RATE}/s`, 'ms', 'p50', '<= 1.10x'),
    figure(`latency p99 at ${RATE}/s`, 'ms', 'p99', '<= 1.20x'),
    figure('throughput of the pair', '1/s', 'rate', '>= 0.95x'),
    figure('processor time of a request in the pair', 'µs', 'cpu'),
  ];
}

function spread(values: readonly number[]): string {
  return `${fixed(Math.min(...values))} – ${fixed(Math.max(...values))}`;
}

function fixed(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(3);
}
