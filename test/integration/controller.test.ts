/** The controller on a real API server, with its own rights, against simulated sidecars with real tokens. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import pino from 'pino';
import { createAuthority } from '#certificates/ca.ts';
import { loadOrCreateAuthority } from '#certificates/secret-store.ts';
import { type Controller, startController } from '#controller/controller.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import { isStatus } from '#kubernetes/error.ts';
import * as kinds from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET } from '#xds/cache/types.ts';
import { ClusterLoadAssignmentSchema } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { SecretSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  controllerEnvironment,
  applyAll,
  bindController,
  callApi,
  podToken,
  type Refusal,
  runPod,
  service,
  SimulatedSidecar,
  viewerToken,
} from './controller-support.ts';
import { clientAs, install, namespace } from './operator-support.ts';
import { type SidecarFiles, sidecarFiles } from './xds-support.ts';

const FAST = { deadlineMs: 15_000, everyMs: 20 };

describe('controller on a real API server', function () {
  this.timeout(180_000);
  let server: ApiServer;
  let admin: Client;
  let own: Client;
  let files: SidecarFiles;
  let controller: Controller;
  const lines: Record<string, unknown>[] = [];
  const sidecars: SimulatedSidecar[] = [];
  const uids = new Map<string, string>();
  /** By how much the clock of the controller's client runs ahead, in milliseconds. */
  let ahead = 0;

  before(async () => {
    [server, files] = await Promise.all([startApiServer(), sidecarFiles(namespace)]);
    admin = createClient(server.clientOptions);
    await install(admin);
    await bindController(admin, namespace);
    await applyAll(admin, [
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'shop', labels: { 'openservicemesh.io/monitored-by': 'osm' } },
      },
    ]);
    // The guard would refuse pods here: there is no injector, and this test makes injected pods by hand.
    await admin.delete(kinds.ValidatingAdmissionPolicyBindings, 'osm-sidecar-guard');
    own = await clientAs(server, admin, 'osm-controller', () => performance.now() + ahead);
    const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    controller = await startController({
      client: own,
      environment: controllerEnvironment({
        namespace,
        podName: 'osm-controller-1',
        logLevel: 'debug',
        tlsDirectory: files.tlsDirectory,
      }),
      log,
      version: 'test',
      host: '127.0.0.1',
      xdsPort: 0,
      apiPort: 0,
      healthPort: 0,
      drainMs: 100,
      certificateTiming: { foundMs: 1_000, spreadMs: 500, reconnectMs: 500, lingerMs: 500, staleMs: 2_000 },
    });
  });

  afterEach(() => {
    for (const sidecar of sidecars.splice(0)) sidecar.close();
  });

  after(async () => {
    await controller?.stop();
    own?.close();
    admin?.close();
    await server?.stop();
    await files?.remove();
  });

  const health = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${controller.healthPort}${path}`);

  async function pod(name: string, ip: string): Promise<void> {
    uids.set(name, await runPod(admin, 'shop', `${name}-1`, { account: name, ip }));
  }

  async function sidecar(name: string, audience?: string, refuse?: Refusal): Promise<SimulatedSidecar> {
    const uid = uids.get(name) ?? '';
    const token = await podToken(admin, 'shop', { name: `${name}-1`, uid, account: name }, audience);
    const node = `shop/${name}-1/${uid}`;
    const to = { port: controller.xdsPort, rootsPem: files.authority.rootsPem };
    const made = new SimulatedSidecar({ ...to, token, node, ...(refuse === undefined ? {} : { refuse }) });
    sidecars.push(made);
    return made;
  }

  function synced(one: SimulatedSidecar): Promise<unknown> {
    return eventually(
      'a sidecar with everything',
      async () => one.names(SECRET).length === 2 && one.names(LISTENER).length > 0,
      {
        ...FAST,
        state: async () =>
          `${JSON.stringify([one.received, one.ended])}\n${lines
            .slice(-15)
            .map((line) => JSON.stringify(line))
            .join('\n')}`,
      },
    );
  }

  it('is not ready without MeshConfig, nor without CA, and then is', async () => {
    assert.equal((await health('/health/ready')).status, 503);
    assert.equal((await health('/health/alive')).status, 200);
    await applyAll(admin, [
      {
        apiVersion: 'config.openservicemesh.io/v1alpha2',
        kind: 'MeshConfig',
        metadata: { name: 'osm-mesh-config', namespace },
        spec: {},
      },
    ]);
    await eventually(
      'only the CA is missing',
      async () => (await (await health('/health/ready')).text()).includes('osm-ca-bundle'),
      FAST,
    );
    await loadOrCreateAuthority(admin, { namespace, name: 'osm-ca-bundle' }, { now: Date.now() });
    await eventually('readiness', async () => (await health('/health/ready')).status === 200, {
      ...FAST,
      state: async () => (await health('/health/ready')).text(),
    });
  });

  it('gives a sidecar with a TokenRequest token its certificate, clusters, endpoints and listeners', async () => {
    await pod('web', '10.0.0.1');
    await pod('client', '10.0.0.2');
    await applyAll(admin, service('shop', 'web', { name: 'web-1', ip: '10.0.0.1' }));
    const one = await sidecar('client');
    await synced(one);
    await eventually(
      'the endpoints of web',
      async () => one.names(ENDPOINTS).some((name) => name.startsWith('shop/web|80')),
      FAST,
    );
    const secret = fromBinary(SecretSchema, one.held.get(SECRET)?.get('workload')?.bytes ?? new Uint8Array());
    assert.equal(secret.type.case, 'tlsCertificate');
    const chain = secret.type.case === 'tlsCertificate' ? secret.type.value.certificateChain?.specifier : undefined;
    const certificate = new X509Certificate(String(chain?.value));
    assert.match(certificate.subjectAltName ?? '', /URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client/);
    assert.ok(one.names(LISTENER).includes('outbound'), one.names(LISTENER).join(', '));
  });

  it('sends an endpoint change as that assignment alone', async () => {
    const one = await sidecar('client');
    await synced(one);
    await eventually('the endpoints of web', async () => one.names(ENDPOINTS).length > 0, FAST);
    await eventually('the routes, which come last', async () => one.names(ROUTES).length > 0, FAST);
    one.received.length = 0;
    await pod('web2', '10.0.0.3');
    const slice = service('shop', 'web', { name: 'web-1', ip: '10.0.0.1' })[1] as KubeObject & { endpoints: unknown[] };
    slice.endpoints = [...slice.endpoints].map((endpoint) => ({
      ...(endpoint as object),
      conditions: { ready: false },
    }));
    await applyAll(admin, [slice]);
    const name = one.names(ENDPOINTS).find((each) => each.startsWith('shop/web|80')) ?? '';
    await eventually(
      'the empty assignment',
      async () => {
        const bytes = one.held.get(ENDPOINTS)?.get(name)?.bytes ?? new Uint8Array();
        return (
          fromBinary(ClusterLoadAssignmentSchema, bytes).endpoints.flatMap((each) => each.lbEndpoints).length === 0
        );
      },
      FAST,
    );
    assert.deepEqual(one.received, [`ClusterLoadAssignment ${name}`]);
  });

  it("gives a new service's inbound chain to its server before its clients learn of it", async () => {
    const [caller, server_] = [await sidecar('client'), await sidecar('web')];
    await Promise.all([synced(caller), synced(server_)]);
    const order: string[] = [];
    const watch = (who: string, one: SimulatedSidecar): void => {
      const push = one.received.push.bind(one.received);
      one.received.push = (...items) => {
        for (const item of items) order.push(`${who} ${item}`);
        return push(...items);
      };
    };
    watch('client', caller);
    watch('server', server_);
    const extra = service('shop', 'extra', { name: 'web-1', ip: '10.0.0.1' });
    (extra[0] as { spec: { selector: object } }).spec.selector = { app: 'web' };
    await applyAll(admin, extra);
    await eventually(
      'the client knows the service',
      async () => caller.names(CLUSTER).some((name) => name.startsWith('shop/extra|80')),
      FAST,
    );
    const inbound = order.findIndex((entry) => entry.startsWith('server Listener') && entry.includes('inbound'));
    const cluster = order.findIndex((entry) => entry.startsWith('client Cluster') && entry.includes('shop/extra|80'));
    assert.ok(inbound >= 0 && inbound < cluster, order.join('\n'));
  });

  it('opens a pod to plaintext as soon as its namespace is annotated, and closes it again', async () => {
    const one = await sidecar('web');
    await synced(one);
    const looks = async (open: boolean): Promise<boolean> => {
      const listener = Buffer.from(one.held.get(LISTENER)?.get('inbound')?.bytes ?? new Uint8Array());
      const metrics = await (await health('/metrics')).text();
      return (
        listener.includes('plaintext.8080') === open &&
        metrics.includes('osm_plaintext_pods{namespace="shop"} 1') === open &&
        metrics.includes('osm_plaintext_pods{') === open
      );
    };
    const labels = { 'openservicemesh.io/monitored-by': 'osm' };
    const annotate = (annotations: Record<string, string>): Promise<void> =>
      applyAll(admin, [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels, annotations } }]);
    assert.ok(await looks(false));
    await annotate({ 'openservicemesh.io/accept-plaintext': 'Yes' });
    await eventually('the port is open', () => looks(true), FAST);
    await annotate({});
    await eventually('the port is closed', () => looks(false), FAST);
  });

  it('refuses a token for another audience, with one log line that holds no token', async () => {
    lines.length = 0;
    const one = await sidecar('client', 'another');
    await eventually('the end of the stream', async () => one.ended !== undefined, FAST);
    assert.deepEqual(one.received, []);
    const refusals = lines.filter(({ key }) => typeof key === 'string' && key.startsWith('token-'));
    assert.deepEqual(
      refusals.map(({ key }) => key),
      ['token-audience'],
    );
    assert.doesNotMatch(JSON.stringify(lines), /eyJ/);
  });

  it('has no name for the secrets of others: who asks is answered with nothing, and told of once', async () => {
    const one = await sidecar('client');
    await synced(one);
    const before = one.held.get(SECRET)?.get('workload')?.version;
    lines.length = 0;
    const names = ['spiffe://cluster.local/ns/shop/sa/web', 'shop/web', 'workload/shop/web', 'osm-ca-bundle'];
    for (const name of names) one.ask(SECRET, [name]);
    await eventually('an answer to each', async () => names.every((name) => one.removed.includes(name)), FAST);
    one.ask(SECRET, ['*']);
    one.ask(SECRET, ['workload']);
    one.ask(SECRET, ['nothing-either']);
    await eventually('the last answer', async () => one.removed.includes('nothing-either'), FAST);
    assert.deepEqual(one.names(SECRET), ['roots', 'workload']);
    assert.equal(one.held.get(SECRET)?.get('workload')?.version, before);
    const told = lines.filter(({ key }) => key === 'secret-denied');
    assert.deepEqual(
      told.map(({ pod: who, names: asked, level }) => [who, asked, level]),
      [['shop/client-1', names.slice(0, 1), 40]],
    );
    assert.match(await (await health('/metrics')).text(), /osm_proxy_refused_total\{key="secret-denied"\} 5/);
  });

  it('shows problems and sidecars to callers who may see them', async () => {
    await applyAll(admin, [
      {
        apiVersion: 'split.smi-spec.io/v1alpha2',
        kind: 'TrafficSplit',
        metadata: { name: 'broken', namespace: 'shop' },
        spec: { service: 'web', backends: [{ service: 'nowhere', weight: 1 }] },
      },
    ]);
    const one = await sidecar('client');
    await synced(one);
    const token = await viewerToken(admin, namespace);
    const problems = await eventually(
      'the problem',
      async () => {
        const answer = await callApi(controller.apiPort, '/api/problems', token);
        return answer.status === 200 && answer.body.includes('nowhere') ? answer : undefined;
      },
      FAST,
    );
    const [problem] = (JSON.parse(problems.body) as { problems: object[] }).problems;
    assert.deepEqual(problem, {
      key: 'split-backend-missing',
      object: { apiVersion: 'split.smi-spec.io/v1alpha4', kind: 'TrafficSplit', namespace: 'shop', name: 'broken' },
      field: 'spec.backends[0].service',
      message: 'The mesh has no service shop/nowhere: its share goes to the other backends.',
      remedy: 'Create the service, or join its pods to the mesh, or remove the backend.',
    });
    const proxies = JSON.parse((await callApi(controller.apiPort, '/api/proxies', token)).body) as {
      proxies: { pod: string }[];
    };
    assert.ok(proxies.proxies.some(({ pod: name }) => name === 'client-1'));
    const config = await callApi(controller.apiPort, '/debug/config/shop/client-1', token);
    assert.equal(config.status, 200);
    assert.match(config.body, /"outbound"/);
    assert.doesNotMatch(config.body, /PRIVATE KEY/);
    for (const line of keyLines(one)) assert.ok(!config.body.includes(line), 'the dump holds the key');
    assert.equal((await callApi(controller.apiPort, '/api/problems', undefined)).status, 401);
    const stranger = await podToken(
      admin,
      'shop',
      { name: 'client-1', uid: uids.get('client') ?? '', account: 'client' },
      server.serviceAccountIssuer,
    );
    assert.equal((await callApi(controller.apiPort, '/api/problems', stranger)).status, 403);
  });

  it("tells people of what a sidecar refuses: an Event on the MeshConfig, in Envoy's words", async () => {
    const words = `Error adding cluster: ${'very long and '.repeat(200)}wrong`;
    await sidecar('client', undefined, { type: CLUSTER, words });
    const event = await eventually(
      'the Event',
      async () => {
        const { items } = await admin.list<KubeObject & Record<string, unknown>>(kinds.Events, { namespace });
        return items.find(({ reason }) => reason === 'ConfigurationRefused');
      },
      {
        ...FAST,
        state: async () =>
          lines
            .slice(-5)
            .map((line) => JSON.stringify(line))
            .join('\n'),
      },
    );
    const { kind, name } = event['regarding'] as { kind: string; name: string };
    assert.deepEqual(
      [kind, name, event['type'], event['reportingController'], event['reportingInstance']],
      ['MeshConfig', 'osm-mesh-config', 'Warning', 'openservicemesh.io/osm-controller', 'osm-controller-1'],
    );
    const note = String(event['note']);
    assert.match(
      note,
      /^The sidecar of shop\/client-1 refused clusters \(CDS\).* Envoy: Error adding cluster: very long and/,
    );
    assert.ok(Buffer.byteLength(note) <= 1024 && note.endsWith('…'), note);
  });

  it('closes the stream of a pod that is gone', async () => {
    const one = await sidecar('web');
    await synced(one);
    await admin.delete(kinds.Pods, 'web-1', 'shop');
    await admin.request('DELETE', '/api/v1/namespaces/shop/pods/web-1?gracePeriodSeconds=0').catch(() => undefined);
    await eventually('the end of the stream', async () => one.ended !== undefined, FAST);
    assert.match(one.ended ?? '', /pod-gone: the pod is gone/);
    assert.ok(lines.some(({ key, pod: who, level }) => key === 'pod-gone' && who === 'shop/web-1' && level === 30));
  });

  it('closes the stream of an account that was made anew, and refuses the token of the former one', async () => {
    await pod('renamed', '10.0.0.9');
    const one = await sidecar('renamed');
    await synced(one);
    const uid = uids.get('renamed') ?? '';
    const token = await podToken(admin, 'shop', { name: 'renamed-1', uid, account: 'renamed' });
    await admin.delete(kinds.ServiceAccounts, 'renamed', 'shop');
    await applyAll(admin, [
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'renamed', namespace: 'shop' } },
    ]);
    await eventually('the end of the stream', async () => one.ended !== undefined, FAST);
    assert.match(one.ended ?? '', /account-changed/);
    lines.length = 0;
    const to = { port: controller.xdsPort, rootsPem: files.authority.rootsPem };
    const late = new SimulatedSidecar({ ...to, token, node: `shop/renamed-1/${uid}` });
    sidecars.push(late);
    await eventually('the refusal', async () => late.ended !== undefined, FAST);
    assert.match(late.ended ?? '', /account-changed/);
    assert.deepEqual(late.received, []);
    assert.ok(lines.some(({ key, level }) => key === 'account-changed' && level === 40));
  });

  it('issues everything anew by another CA, without touching a cluster', async () => {
    const one = await sidecar('client');
    await synced(one);
    const clusters = one.received.filter((line) => line.startsWith('Cluster ')).length;
    const before = one.held.get(SECRET)?.get('workload')?.version;
    const next = await createAuthority({ now: Date.now() });
    await admin.delete(kinds.Secrets, 'osm-ca-bundle', namespace);
    await admin.create(kinds.Secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'osm-ca-bundle', namespace },
      data: {
        'ca.crt': Buffer.from(next.certificatePem).toString('base64'),
        'private.key': Buffer.from(next.privateKey.reveal()).toString('base64'),
      },
    });
    await eventually('another certificate', async () => one.held.get(SECRET)?.get('workload')?.version !== before, {
      ...FAST,
      deadlineMs: 30_000,
    });
    assert.equal(one.received.filter((line) => line.startsWith('Cluster ')).length, clusters);
  });

  it('is unready, and says why, when the API server knows its ServiceAccount no more', async () => {
    assert.equal((await health('/health/ready')).status, 200);
    await admin.delete(kinds.ServiceAccounts, 'osm-controller', namespace);
    await applyAll(admin, [
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'osm-controller', namespace } },
    ]);
    const refused = (): Promise<boolean> =>
      own.get(kinds.Nodes, 'any').then(
        () => false,
        (error: unknown) => isStatus(error, 401),
      );
    // The API server remembers a good token for some seconds.
    await eventually('the token of the former account is refused', refused, FAST);
    assert.equal((await health('/health/ready')).status, 200, 'one refusal is not lasting');
    ahead = 31_000;
    assert.ok(await refused());
    const answer = await health('/health/ready');
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /refused this pod's token \(401\).*ServiceAccount/);
    assert.equal((await health('/health/alive')).status, 200);
  });
});

/** The lines of a sidecar's private key: base64, as they would stand in any text. */
function keyLines(one: SimulatedSidecar): string[] {
  const secret = fromBinary(SecretSchema, one.held.get(SECRET)?.get('workload')?.bytes ?? new Uint8Array());
  assert.ok(secret.type.case === 'tlsCertificate');
  const lines = String(secret.type.value.privateKey?.specifier.value).split('\n');
  return lines.filter((line) => line.length > 20 && !line.startsWith('-----'));
}
