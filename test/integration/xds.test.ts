/** The real server and a real Envoy, over TLS, with the bootstrap and the token that a sidecar really has. */
import assert from 'node:assert/strict';
import { connect as tlsConnect } from 'node:tls';
import { readKeyPair } from '#certificates/serving-certificate.ts';
import { buildSnapshot } from '#xds/cache/snapshot.ts';
import { CLUSTER } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';
import { freePort, type RunningEnvoy, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
import { CLAIMS, FAST, NODE, TestController } from './xds-controller-support.ts';
import {
  brokenCluster,
  directRoutes,
  edsCluster,
  endpoints,
  httpListener,
  type SidecarFiles,
  sidecarFiles,
  tokenSigner,
} from './xds-support.ts';

describe('xDS server and a real Envoy', function () {
  this.timeout(120_000);
  let files: SidecarFiles;
  let signer: Awaited<ReturnType<typeof tokenSigner>>;
  let listenerPort: number;
  const controllers: TestController[] = [];
  const envoys: RunningEnvoy[] = [];

  before(async () => {
    [files, signer, listenerPort] = await Promise.all([sidecarFiles(), tokenSigner(), freePort()]);
  });
  beforeEach(async () => files.writeToken(await signer.sign(CLAIMS)));
  afterEach(async () => {
    await Promise.all(envoys.splice(0).map((envoy) => envoy.stop()));
    for (const { server } of controllers.splice(0)) server.close();
  });
  after(() => files.remove());

  function world(
    change: { clusters?: readonly Resource[]; assignments?: readonly Resource[]; body?: string } = {},
  ): Resource[] {
    return [
      ...(change.clusters ?? [edsCluster('a'), edsCluster('b')]),
      ...(change.assignments ?? [endpoints('a', 1), endpoints('b', 2)]),
      httpListener('web', listenerPort, 'routes'),
      directRoutes('routes', change.body ?? 'first'),
    ];
  }

  async function controller(resources = world(), port = 0, max = 0): Promise<TestController> {
    const made = new TestController(files, signer, buildSnapshot(resources), max);
    controllers.push(made);
    await made.listen(port);
    return made;
  }

  async function envoy(
    to: TestController,
    { credential = true, ...options }: Parameters<typeof startEnvoy>[1] & { credential?: boolean } = {},
  ): Promise<RunningEnvoy> {
    const started = await startEnvoy(files.sidecarBootstrap(to.port, { credential }), { node: NODE, ...options });
    envoys.push(started);
    return started;
  }

  const get = async (): Promise<string> => (await fetch(`http://127.0.0.1:${listenerPort}/`)).text();

  it('makes it ready, acknowledged and answering', async () => {
    const one = await controller();
    await envoy(one);
    await one.converge('the first configuration');
    assert.equal(await get(), 'first');
    assert.deepEqual(one.nacks, []);
  });

  it('adds and changes a cluster in at most a second each, and never repeats a request', async () => {
    const one = await controller();
    const sidecar = await envoy(one);
    await one.converge('the first configuration');
    one.set(
      world({
        clusters: [edsCluster('a'), edsCluster('b'), edsCluster('c')],
        assignments: [endpoints('a', 1), endpoints('b', 2), endpoints('c', 3)],
      }),
    );
    const added = await one.converge('a new cluster');
    one.set(
      world({
        clusters: [edsCluster('a', '2s'), edsCluster('b'), edsCluster('c')],
        assignments: [endpoints('a', 1), endpoints('b', 2), endpoints('c', 3)],
      }),
    );
    const changed = await one.converge('a changed cluster whose endpoints are unchanged');
    one.set(world());
    const removed = await one.converge('a removed cluster');
    assert.ok(
      Math.max(added, changed, removed) <= 1000,
      `added ${added} ms, changed ${changed} ms, removed ${removed} ms`,
    );
    assert.doesNotMatch(await sidecar.admin('/clusters'), /^c::/m);
    assert.match(await sidecar.admin('/clusters'), /^a::127\.0\.0\.1:1::/m);
  });

  it('gives a new cluster its endpoints in the same turn, once, and Envoy takes them', async () => {
    const one = await controller();
    const sidecar = await envoy(one);
    await one.converge('the first configuration');
    one.sent.length = 0;
    one.set(
      world({
        clusters: [edsCluster('a'), edsCluster('b'), edsCluster('c')],
        assignments: [endpoints('a', 1), endpoints('b', 2), endpoints('c', 3)],
      }),
    );
    assert.deepEqual(
      one.sent.map(({ type }) => type),
      ['cds', 'eds'],
    );
    await one.converge('a new cluster');
    assert.match(await sidecar.admin('/clusters'), /^c::127\.0\.0\.1:3::/m);
    assert.deepEqual(
      one.sent.map(({ type }) => type),
      ['cds', 'eds'],
      "Envoy's own request for the name came before its acknowledgement, and needed no other answer",
    );
  });

  it('sends the bytes of one assignment when one endpoint changes', async () => {
    const one = await controller();
    const sidecar = await envoy(one);
    await one.converge('the first configuration');
    one.sent.length = 0;
    one.set(world({ assignments: [endpoints('a', 9), endpoints('b', 2)] }));
    await one.converge('a changed endpoint');
    assert.deepEqual(
      one.sent.map(({ type }) => type),
      ['eds'],
    );
    assert.match(await sidecar.admin('/clusters'), /^a::127\.0\.0\.1:9::/m);
  });

  it("reports a refusal in Envoy's words, keeps the old, accepts the rest, and does not try again", async () => {
    const one = await controller();
    const sidecar = await envoy(one);
    await one.converge('the first configuration');
    one.sent.length = 0;
    one.set(world({ clusters: [brokenCluster('a'), edsCluster('b', '3s')], body: 'second' }));
    await one.converge('everything but the broken cluster');
    assert.equal(one.nacks.length, 1);
    assert.equal(one.nacks[0]?.type, CLUSTER);
    assert.match(one.nacks[0]?.error ?? '', /\ba\b/);
    assert.deepEqual(
      one.nacks[0]?.culprits.map(({ name }) => name),
      ['a'],
    );
    assert.equal(await get(), 'second');
    assert.match(await sidecar.admin('/clusters'), /^a::127\.0\.0\.1:1::/m, 'the old cluster stays');
    const clusterResponses = one.sent.filter(({ type }) => type === 'cds').length;
    assert.ok(clusterResponses <= 2, `${clusterResponses} cluster responses`);
    one.set(world({ clusters: [edsCluster('a', '4s'), edsCluster('b', '3s')], body: 'third' }));
    await one.converge('the mended cluster');
    assert.equal(one.nacks.length, 1);
  });

  it('gives a sidecar that comes back from another controller only what changed', async () => {
    const first = await controller();
    const sidecar = await envoy(first);
    await first.converge('the first configuration');
    const { port } = first;
    first.server.close();
    const second = await controller(world({ assignments: [endpoints('a', 7), endpoints('b', 2)] }), port);
    await second.converge('the same sidecar at the new controller');
    assert.deepEqual(
      second.sent.map(({ type }) => type),
      ['eds'],
      JSON.stringify(second.sent),
    );
    assert.match(await sidecar.admin('/clusters'), /^a::127\.0\.0\.1:7::/m);
    assert.equal(await get(), 'first');
  });

  it('closes streams when told, and sidecars come back on a new connection', async () => {
    const one = await controller();
    const sidecar = await envoy(one);
    await one.converge('the first configuration');
    const before = await sidecar.stat('cluster.osm-controller.upstream_cx_total');
    const gone = { key: 'pod-gone', message: 'the pod is gone' } as const;
    assert.equal(
      one.server.closeStreams(({ pod }) => pod === 'another', gone),
      0,
    );
    assert.equal(
      one.server.closeStreams(({ podUid }) => podUid === 'uid-1', gone),
      1,
    );
    await eventually('a second stream', async () => one.closed.length === 1 && one.settled, FAST);
    assert.ok(
      (await sidecar.stat('cluster.osm-controller.upstream_cx_total')) > before,
      'a new connection, so replicas are balanced anew',
    );
  });

  it('refuses streams beyond the limit', async () => {
    const one = await controller(world(), 0, 1);
    await envoy(one);
    await one.converge('the first sidecar');
    await envoy(one, { waitUntilLive: false });
    await eventually('a refusal', async () => one.refusals.some(({ key }) => key === 'too-many-connections'), FAST);
    assert.equal([...one.server.streams()].length, 1);
  });

  it('ends streams spread over time when it drains, and takes no new ones', async () => {
    const one = await controller();
    await envoy(one);
    await one.converge('the first configuration');
    await one.server.drain(200);
    assert.deepEqual(one.closed, ['this controller is shutting down']);
    assert.deepEqual([...one.server.streams()], []);
  });

  it('serves a renewed certificate without a restart, and open streams go on', async () => {
    const one = await controller();
    await envoy(one);
    await one.converge('the first configuration');
    const serial = await files.renewServing();
    one.identity.serve(await readKeyPair(files.tlsDirectory));
    assert.equal(await servedSerial(one.port), serial);
    assert.ok(one.settled);
    assert.deepEqual(one.closed, []);
  });

  const refused: [string, () => Promise<string>, string][] = [
    ['no token at all', async () => '', 'token-missing'],
    ['another audience', () => signer.sign(CLAIMS, { audience: 'another' }), 'token-audience'],
    ['an expired token', () => signer.sign(CLAIMS, { expiresIn: -5 }), 'token-expired'],
    ["another pod's token", () => signer.sign({ ...CLAIMS, pod: 'web-2', podUid: 'uid-2' }), 'pod-mismatch'],
    ['another key', async () => (await tokenSigner()).sign(CLAIMS), 'token-signature'],
    [
      'alg none',
      async () => {
        const [, payload] = (await signer.sign(CLAIMS)).split('.');
        return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
      },
      'token-algorithm',
    ],
  ];
  for (const [what, token, key] of refused) {
    it(`gives ${what} no configuration and says ${key}`, async () => {
      const shown = await token();
      await files.writeToken(shown);
      const one = await controller();
      const sidecar = await envoy(one, { waitUntilLive: false, credential: shown !== '' });
      await eventually(`the refusal ${key}`, async () => one.refusals.length > 0, FAST);
      // Of whoever shows no token nothing is read.
      assert.deepEqual(one.refusals[0], { key, nodeId: shown === '' ? undefined : NODE });
      assert.deepEqual(one.sent, []);
      assert.equal(await sidecar.stat('cluster_manager.cds.update_success'), 0);
      await assert.rejects(sidecar.admin('/ready'), 'a sidecar without configuration must not be ready');
    });
  }
});

/** Serial number of the certificate that a new connection is shown, lower-case hex. */
function servedSerial(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
      resolve(socket.getPeerCertificate().serialNumber.toLowerCase());
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
