/**
 * What a mesh costs the sidecar that sees all of it: a real Envoy under the bootstrap that the injector writes, given by our
 * own ADS what the product makes of a mesh of so many services. Each Envoy is a process of its own, compared with one in a
 * mesh without services.
 */
import { readFileSync } from 'node:fs';
import { TestController, CLAIMS, NODE } from '#test/integration/xds-controller-support.ts';
import { sidecarFiles, tokenSigner } from '#test/integration/xds-support.ts';
import { compile } from '#mesh/compile.ts';
import { endpointsFor } from '#mesh/endpoints.ts';
import { viewFor } from '#mesh/view-for.ts';
import { startEnvoy } from '#test/support/envoy.ts';
import { testAuthority } from '#test/support/mesh-certificates.ts';
import { cluster, pod, port, proxy, service, SETTINGS } from '#test/unit/mesh/builders.ts';
import { buildSnapshot } from '#xds/cache/snapshot.ts';
import type { Resource } from '#xds/resource.ts';
import { translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';
import { type Bench, type BenchResult, measured, median } from './result.ts';

const SIZES = [0, 100, 500];
/** Envoys of each size: what the allocator keeps differs from start to start. */
const ROUNDS = 3;
const PODS_EACH = 2;
const KB = 1024;

interface Memory {
  /** Kilobytes that the kernel counts for the process. */
  readonly rss: number;
  /** Kilobytes that Envoy itself says it has in use. */
  readonly allocated: number;
}

export const bench: Bench = async () => {
  const [files, signer, authority] = await Promise.all([sidecarFiles(), tokenSigner(), testAuthority()]);
  try {
    await files.writeToken(await signer.sign(CLAIMS));
    const secrets = translateSecrets(await authority.issue('shop/web'));
    const measure = async (services: number): Promise<Memory> => {
      const controller = new TestController(files, signer, buildSnapshot([...sidecarIn(services), ...secrets]));
      await controller.listen();
      const envoy = await startEnvoy(files.sidecarBootstrap(controller.port), { node: NODE, concurrency: 2 });
      try {
        await controller.converge(`a sidecar that sees ${services} services`);
        if (controller.nacks.length > 0) throw new Error(`Envoy refused: ${controller.nacks[0]?.error}`);
        const { allocated } = JSON.parse(await envoy.admin('/memory')) as { allocated: string };
        return { rss: residentKb(envoy.pid), allocated: Number(allocated) / KB };
      } finally {
        await envoy.stop();
        controller.server.close();
      }
    };
    const samples = SIZES.map(() => [] as Memory[]);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [index, size] of SIZES.entries()) samples[index]?.push(await measure(size));
    }
    return results(
      samples.map((all) => ({
        rss: median(all.map(({ rss }) => rss)),
        allocated: median(all.map(({ allocated }) => allocated)),
      })),
    );
  } finally {
    await files.remove();
  }
};

/** All that the sidecar of `shop/web-1` is given, whose own service is one of the mesh's. */
function sidecarIn(services: number): Resource[] {
  const web = pod('shop/web-1', 'web');
  const names = Array.from({ length: Math.max(0, services - 1) }, (_, index) => `app-${index}`);
  const others = names.flatMap((name) =>
    Array.from({ length: PODS_EACH }, (_, copy) => pod(`shop/${name}-${copy}`, name)),
  );
  const own = services === 0 ? [] : [service('shop/web', { ports: [port(80)] })];
  const { model, problems } = compile(
    cluster({
      config: { ...SETTINGS, permissive: true },
      services: [...own, ...names.map((name, index) => service(`shop/${name}`, { ports: [port(8080 + (index % 5))] }))],
      pods: [web, ...others],
    }),
  );
  if (problems.length > 0) throw new Error(`the benchmark's mesh has problems: ${JSON.stringify(problems)}`);
  const view = viewFor(model, proxy(web));
  const endpoints = view.outbound.clusters.map((it) => translateEndpoints(endpointsFor(model, it, '')));
  return [...translateView(view), ...endpoints];
}

function residentKb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes);
}

function results([empty, ...others]: readonly Memory[]): BenchResult[] {
  if (empty === undefined) throw new Error('unreachable: the mesh without services was measured');
  const figures = others.flatMap(({ rss, allocated }, index) => {
    const size = SIZES[index + 1] ?? 0;
    const target = size === 500 ? { target: '<= 30' } : {};
    return [
      measured(
        `RSS of a sidecar that sees ${size} services, over one that sees none`,
        'MB',
        (rss - empty.rss) / KB,
        target,
      ),
      measured('  of which Envoy says it has in use', 'MB', (allocated - empty.allocated) / KB),
    ];
  });
  return [
    measured('RSS of a sidecar in a mesh without services', 'MB', empty.rss / KB),
    measured('  of which Envoy says it has in use', 'MB', empty.allocated / KB),
    ...figures,
  ];
}
