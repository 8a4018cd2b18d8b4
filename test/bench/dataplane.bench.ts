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
  throughput,
} from './dataplane-tools.ts';
import { type Bench, type BenchResult, measured, median, quantile } from './result.ts';

const ROUNDS = Number(process.env['OSM_BENCH_ROUNDS'] ?? 7);
const SECONDS = 4;
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
type Samples = Readonly<Record<Figure, number[]>>;

interface Pair {
  readonly name: string;
  readonly target: Target;
  readonly envoys: readonly RunningEnvoy[];
  readonly samples: Samples;
}

export const bench: Bench = async () => {
  await ensureWrk();
  const started: RunningEnvoy[] = [];
  try {
    const pairs = await startPairs(started);
    for (const { target } of pairs) await throughput(target, WARM_UP_SECONDS, CONNECTIONS);
    for (let round = 0; round < ROUNDS; round += 1) {
      // Who goes first changes too.
      for (const pair of round % 2 === 0 ? pairs : pairs.toReversed()) await measure(pair);
    }
    return results(pairs);
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
    samples: { p50: [], p99: [], rate: [], cpu: [] },
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

async function measure({ name, target, envoys, samples }: Pair): Promise<void> {
  const times = await latencies(target, RATE, SECONDS);
  const before = cpuOf(envoys);
  const rate = await throughput(target, SECONDS, CONNECTIONS);
  const taken = {
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    rate,
    cpu: (cpuOf(envoys) - before) / (rate * SECONDS),
  };
  for (const figure of Object.keys(taken) as Figure[]) samples[figure].push(taken[figure]);
  console.error(
    `[dataplane] ${name.padEnd(5)} p50 ${taken.p50.toFixed(3)} ms, p99 ${taken.p99.toFixed(3)} ms, ` +
      `${taken.rate.toFixed(0)}/s, ${taken.cpu.toFixed(1)} µs of processor a request`,
  );
}

function cpuOf(envoys: readonly RunningEnvoy[]): number {
  return envoys.reduce((sum, { pid }) => sum + cpuMicroseconds(pid), 0);
}

function results([mesh, plain]: readonly [Pair, Pair]): BenchResult[] {
  const figure = (name: string, unit: string, key: Figure, target?: string): BenchResult => {
    const peer = median(plain.samples[key]);
    const spread = (pair: Pair) =>
      `${fixed(Math.min(...pair.samples[key]))} – ${fixed(Math.max(...pair.samples[key]))}`;
    console.error(`[dataplane] ${name}: mesh ${spread(mesh)}, plain ${spread(plain)} ${unit}`);
    return measured(name, unit, median(mesh.samples[key]), { peer, ...(target === undefined ? {} : { target }) });
  };
  return [
    figure(`latency p50 at ${RATE}/s`, 'ms', 'p50', '<= 1.10x'),
    figure(`latency p99 at ${RATE}/s`, 'ms', 'p99', '<= 1.20x'),
    figure('throughput of the pair', '1/s', 'rate', '>= 0.95x'),
    figure('processor time of a request in the pair', 'µs', 'cpu'),
  ];
}

function fixed(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(3);
}
