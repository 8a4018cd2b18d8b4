/** Every golden, with its secrets, is acknowledged by a real Envoy over our ADS; one that is broken is not. */
import assert from 'node:assert/strict';
import { policyCases } from '#test/golden/policy/cases.ts';
import { goldenCases } from '#test/golden/translate/cases.ts';
import { type RunningEnvoy, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
import { testAuthority } from '#test/support/mesh-certificates.ts';
import { resourceJson, withJson } from '#test/support/static-config.ts';
import { buildSnapshot } from '#xds/cache/snapshot.ts';
import type { Resource } from '#xds/resource.ts';
import { translateSecrets } from '#xds/translate/translate.ts';
import { CLAIMS, FAST, NODE, TestController } from './xds-controller-support.ts';
import { brokenCluster, type SidecarFiles, sidecarFiles, tokenSigner } from './xds-support.ts';

const cases = await goldenCases();
const policies = await policyCases();
const secrets = translateSecrets(await (await testAuthority()).issue('shop/bookbuyer'));

describe('goldens over ADS', function () {
  this.timeout(60_000);
  let files: SidecarFiles;
  let signer: Awaited<ReturnType<typeof tokenSigner>>;
  let controller: TestController | undefined;
  let envoy: RunningEnvoy | undefined;

  before(async () => {
    [files, signer] = await Promise.all([sidecarFiles(), tokenSigner()]);
    await files.writeToken(await signer.sign(CLAIMS));
  });
  afterEach(async () => {
    await envoy?.stop();
    controller?.server.close();
  });
  after(() => files.remove());

  async function serve(resources: readonly Resource[]): Promise<TestController> {
    controller = new TestController(files, signer, buildSnapshot([...resources, ...secrets]));
    await controller.listen();
    envoy = await startEnvoy(files.sidecarBootstrap(controller.port), { node: NODE });
    return controller;
  }

  for (const golden of cases) {
    it(`acknowledges ${golden.name}`, async () => {
      const serving = await serve(golden.resources);
      await serving.converge(golden.name);
      assert.deepEqual(serving.nacks, []);
      await assertHolds(golden.resources);
    });
  }

  /** What Envoy took is in its own dump, by name: an acknowledgement of nothing would pass otherwise. */
  async function assertHolds(resources: readonly Resource[]): Promise<void> {
    const dump = (await envoy?.admin('/config_dump?include_eds')) ?? '';
    for (const { name, type } of resources) {
      if (!type.endsWith('.ClusterLoadAssignment'))
        assert.ok(dump.includes(JSON.stringify(name)), `Envoy does not hold ${name}`);
    }
  }

  it('acknowledges every policy case, one after another: each is a change of the one before', async () => {
    const serving = await serve([]);
    for (const golden of policies) {
      for (const [sidecar, resources] of golden.resources) {
        serving.set([...resources, ...secrets]);
        await serving.converge(`${golden.name} ${sidecar}`);
        assert.deepEqual(serving.nacks, [], `${golden.name} ${sidecar}`);
        await assertHolds(resources);
      }
    }
  });

  it('does not acknowledge a policy case whose route is broken, and says why', async () => {
    const server = policies.find(({ name }) => name === 'target-http')?.resources.get('shop/web-1');
    assert.ok(server);
    const serving = await serve(
      server.map((resource) => {
        const broken = JSON.stringify(resourceJson(resource)).replaceAll('.*Firefox.*', '(?<=x)y');
        return withJson(resource, JSON.parse(broken) as ReturnType<typeof resourceJson>);
      }),
    );
    const nack = await eventually('a refusal', async () => serving.nacks[0], FAST);
    assert.match(JSON.stringify(nack), /invalid perl operator/i);
  });

  it('keeps of a service what tells of its traffic, and not what nobody reads', async () => {
    const [good] = cases.filter(({ name }) => name === 'tcp');
    assert.ok(good);
    await (await serve(good.resources)).converge(good.name);
    const names = [...((await envoy?.admin('/stats')) ?? '').matchAll(/^cluster\.[^.]*\|[^.]*\.([^:]+):/gm)].map(
      ([, name]) => name,
    );
    for (const kept of ['membership_healthy', 'membership_total', 'ssl.handshake', 'ssl.fail_verify_san']) {
      assert.ok(names.includes(kept), `${kept} is not among ${names.join(' ')}`);
    }
    for (const left of ['update_attempt', 'lb_subsets_active', 'circuit_breakers.default.cx_open']) {
      assert.ok(!names.includes(left), `${left} is there`);
    }
  });

  it('does not acknowledge one with a broken cluster, and says why', async () => {
    const [good] = cases.filter(({ name }) => name === 'tcp');
    assert.ok(good);
    const serving = await serve([...good.resources, brokenCluster('broken')]);
    const nack = await eventually('a refusal', async () => serving.nacks[0], FAST);
    assert.match(JSON.stringify(nack), /broken/);
  });
});
