/**
 * Workload certificates: what one costs, keys included, and how long 2,000 identities wait for theirs after the controller was
 * restarted: by the controller's own code alone, and over real delta streams with tokens, from a real API server.
 */
import { createAuthority } from '#certificates/ca.ts';
import type { Issuer } from '#certificates/issuer.ts';
import { ecdsa } from '#certificates/keys.ts';
import { issueWorkload } from '#certificates/leaf.ts';
import { createBuiltinProvider } from '#certificates/providers/builtin.ts';
import { createWorkloadCache } from '#certificates/workload-cache.ts';
import { namespace } from '#test/integration/operator-support.ts';
import { type PushCluster, withPushCluster } from './push-cluster.ts';
import { end, startController, startFleet } from './push-fleet.ts';
import { buildPods, tokensOf } from './push-mesh.ts';
import { type Bench, type BenchResult, measured, quantile } from './result.ts';

const IDENTITIES = 2_000;
const ROUNDS = 8;
const ROUND = 250;
const day = 24 * 3_600_000;
const trustDomain = 'cluster.local';

export const bench: Bench = async () => [
  ...(await issues()),
  await withoutStreams(),
  ...(await withPushCluster(overStreams)),
];

/** Time of all threads of this process: what one core that does nothing else would take. */
async function issues(): Promise<BenchResult[]> {
  const authority = await createAuthority({ now: Date.now() });
  const rates: number[] = [];
  const walls: number[] = [];
  for (let round = -2; round < ROUNDS; round += 1) {
    const [cpu, started] = [process.cpuUsage(), performance.now()];
    for (let index = 0; index < ROUND; index += 1) {
      const account = { namespace: 'bench', name: `account-${index}` };
      await issueWorkload(authority, account, trustDomain, { now: Date.now(), lifetimeMs: day });
    }
    if (round < 0) continue;
    const { user, system } = process.cpuUsage(cpu);
    rates.push((ROUND * 1e6) / (user + system));
    walls.push((performance.now() - started) / ROUND);
  }
  return [
    measured('workload certificates a second of one core, keys included', '1/s', quantile(rates, 0.5), {
      target: '>= 300',
    }),
    measured('one workload certificate', 'ms', quantile(walls, 0.25)),
  ];
}

/** From an empty cache to the certificate of every identity. */
async function withoutStreams(): Promise<BenchResult> {
  const provider = createBuiltinProvider(await createAuthority({ now: Date.now() }), Date.now);
  const issuer: Issuer = {
    issueWorkload: async (account) => {
      const { certificate } = await provider.issue(account, { trustDomain, lifetimeMs: day, keyType: ecdsa });
      return certificate;
    },
  };
  const cache = createWorkloadCache({ issuer });
  const started = performance.now();
  await Promise.all(
    Array.from(
      { length: IDENTITIES },
      (_, index) =>
        new Promise<void>((done) => {
          cache.subscribe({ namespace: 'bench', name: `account-${index}` }, () => done());
        }),
    ),
  );
  const seconds = (performance.now() - started) / 1000;
  cache.stop();
  return measured(`certificates of ${IDENTITIES} identities from nothing`, 's', seconds, { target: '<= 15' });
}

/** A controller that has just started, and every sidecar of before comes back to it at once. */
async function overStreams({ server, files, admin }: PushCluster): Promise<BenchResult[]> {
  const pods = await buildPods(admin, { namespaces: 5, services: IDENTITIES, podsEach: 1 });
  const tokens = await tokensOf(server, admin, pods, 1);
  const results: BenchResult[] = [];
  for (const name of ['start', 'restart']) {
    const controller = await startController(server.kubeconfigPath, files);
    const fleet = startFleet(60_000);
    try {
      const before = await controller.cpuMs();
      const sidecars = pods.map((pod, index) => ({
        port: controller.xdsPort,
        rootsPem: files.authority.rootsPem,
        serverName: `osm-controller.${namespace}.svc`,
        token: tokens[index] ?? '',
        node: `${pod.namespace}/${pod.name}/${pod.uid}`,
        routes: [],
      }));
      const { ms, retries } = await fleet.measure({ kind: 'complete' }, async () => fleet.open(sidecars));
      const cpu = ((await controller.cpuMs()) - before) / 1000;
      results.push(
        measured(`${IDENTITIES} identities at once after a ${name}: last ACK`, 's', ms / 1000, { target: '<= 15' }),
        measured('  CPU of the controller for it', 's', cpu),
        measured('  connections that it did not take up at once', '', retries),
      );
    } finally {
      await Promise.all([...fleet.workers, controller.process].map(end));
    }
  }
  return results;
}
