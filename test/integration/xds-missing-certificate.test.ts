/** A real Envoy whose certificate is not there: it waits for one, and keeps the one that it holds. */
import assert from 'node:assert/strict';
import { type RunningEnvoy, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
import { testAuthority } from '#test/support/mesh-certificates.ts';
import { assignment, cluster, inboundView, outboundView, virtualHost } from '#test/support/views.ts';
import { buildSnapshot } from '#xds/cache/snapshot.ts';
import type { Resource } from '#xds/resource.ts';
import { translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';
import { CLAIMS, FAST, NODE, TestController } from './xds-controller-support.ts';
import { type SidecarFiles, sidecarFiles, tokenSigner } from './xds-support.ts';

describe('a sidecar without its certificate', function () {
  this.timeout(60_000);
  let files: SidecarFiles;
  let controller: TestController;
  let envoy: RunningEnvoy;
  const secrets: Resource[] = [];
  const laterRoots: Resource[] = [];

  before(async () => {
    const [made, signer, authority, other] = await Promise.all([
      sidecarFiles(),
      tokenSigner(),
      testAuthority(),
      testAuthority(),
    ]);
    files = made;
    secrets.push(...translateSecrets(await authority.issue('shop/web')));
    laterRoots.push(...translateSecrets(await other.issue('shop/web')).filter(({ name }) => name === 'roots'));
    await files.writeToken(await signer.sign(CLAIMS));
    controller = new TestController(files, signer, buildSnapshot(world(['s0'], rootsOf(secrets))));
    await controller.listen();
    envoy = await startEnvoy(files.sidecarBootstrap(controller.port), { node: NODE, waitUntilLive: false });
  });
  after(async () => {
    await envoy?.stop();
    controller?.server.close();
    await files?.remove();
  });

  const rootsOf = (all: readonly Resource[]): Resource[] => all.filter(({ name }) => name === 'roots');

  function world(services: readonly string[], held: readonly Resource[]): Resource[] {
    const clusters = services.map((service) => cluster(service, 80));
    const virtualHosts = clusters.map(({ service, name }) => virtualHost(service, 80, name));
    const key = services.join();
    const outbound = outboundView({
      key,
      httpPorts: [{ port: 80, addresses: ['10.0.0.1'], routes: { key, name: 'outbound.80', virtualHosts } }],
      clusters,
    });
    const endpoints = clusters.map(({ name }) => translateEndpoints(assignment(name, ['127.0.0.1', 1])));
    return [...translateView({ outbound, inbound: inboundView() }), ...endpoints, ...held];
  }

  const acknowledged = (type: string): number => controller.acks.filter((ack) => ack.type === type).length;
  const live = async (): Promise<boolean> => (await envoy.admin('/server_info')).includes('"state": "LIVE"');

  it('acknowledges its roots, and neither listeners nor readiness come before the certificate', async () => {
    await eventually('the roots are acknowledged', async () => acknowledged('sds') === 1, FAST);
    controller.set(world(['s0'], laterRoots));
    await eventually('other roots are acknowledged', async () => acknowledged('sds') === 2, FAST);
    assert.equal(await live(), false);
    assert.equal(acknowledged('lds'), 0, 'it asks for listeners when its clusters are warm');
    assert.deepEqual(controller.nacks, []);
  });

  it('is ready when the certificate comes', async () => {
    controller.set(world(['s0'], secrets));
    await controller.converge('all of it');
    await eventually('it is live', live, FAST);
    assert.deepEqual(controller.nacks, []);
  });

  it('keeps its certificate where the controller has none, and takes new clusters', async () => {
    controller.set(world(['s0', 's1'], rootsOf(secrets)));
    await controller.converge('a new cluster');
    assert.match(await envoy.admin('/clusters'), /^shop\/s1\|80\|0::127\.0\.0\.1:1::/m);
    assert.match(await envoy.admin('/config_dump?resource=dynamic_active_secrets'), /"name": "workload"/);
    assert.deepEqual(controller.nacks, []);
  });
});
