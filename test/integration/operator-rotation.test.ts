/**
 * The control-plane CA rotated under a real API server, which asks two real injector processes through the operator's own
 * webhook, and a real controller with real Envoys. Kubelets are played: each brings Secrets and trust late, by a time of its own.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { type Controller, startController } from '#controller/controller.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import * as kinds from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { createOperator, type Operator } from '#operator/operator.ts';
import { runPasses, type Passes } from '#operator/passes.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { type Bootstrap, type RunningEnvoy, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
import { startProxy, type Proxy } from '#test/support/tcp-proxy.ts';
import { TOKEN_DIRECTORY, TRUST_DIRECTORY } from '#webhook/inject/names.ts';
import { controllerEnvironment, podToken } from './controller-support.ts';
import { type Egress, startEgress } from './egress.ts';
import { type Mounted, mount } from './mounted.ts';
import { clientAs, install, markAvailable, meshConfig, namespace } from './operator-support.ts';
import { type InjectorProcess, startInjectorProcess } from './webhook-process.ts';

/** Far shorter than the design's, and longer than what the kubelets here take. */
const waits = { trustMs: 5_000, retireMs: 5_000, askMs: 300 };
const lateMs = [300, 2_000];

describe('rotation of the control-plane CA on a real API server', function () {
  this.timeout(240_000);
  let directory: string;
  let server: ApiServer;
  let egress: Egress;
  let admin: Client;
  let client: Client;
  let operator: Operator | undefined;
  let passes: Passes | undefined;
  let controller: Controller;
  let proxy: Proxy;
  const injectors: InjectorProcess[] = [];
  const mounts: Mounted[] = [];
  const envoys: RunningEnvoy[] = [];
  const log: string[] = [];
  const state = async () => `${log.slice(-25).join('\n')}\n${(await rotating())?.message}`;
  const until = <T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> =>
    eventually(what, look, { deadlineMs: 60_000, everyMs: 50, state });

  before(async function () {
    this.timeout(240_000);
    directory = await mkdtemp(join(tmpdir(), 'osm-rotation-'));
    let calls = 0;
    egress = await startEgress(() => {
      calls += 1;
      return { host: injectors[calls % injectors.length]?.address ?? '127.0.0.1', port: 9090 };
    });
    server = await startApiServer({ flags: egress.flags });
    admin = createClient(server.clientOptions);
    await install(admin);
    client = await clientAs(server, admin, 'osm-operator');
    const labels = { 'openservicemesh.io/monitored-by': 'osm', 'openservicemesh.io/sidecar-injection': 'enabled' };
    await admin.create(kinds.Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } });
    await admin.create(kinds.ServiceAccounts, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'web', namespace: 'shop' },
    });
    await admin.apply(kinds.MeshConfigs, meshConfig(), { fieldManager: 'test-user' });
    await startOperator();
    for (const [index, late] of lateMs.entries()) {
      const name = `osm-injector-${index}`;
      const tlsDirectory = await follow(kinds.Secrets, 'osm-injector-tls', name, late);
      const injector = await startInjectorProcess({ kubeconfigPath: server.kubeconfigPath, tlsDirectory });
      injectors.push(injector);
      await injector.ready();
      await runReplica('osm-injector', name, injector.address);
    }
    const host = `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
    controller = await startController({
      client: admin,
      environment: controllerEnvironment({
        namespace,
        podName: 'osm-controller-0',
        logLevel: 'info',
        tlsDirectory: await follow(kinds.Secrets, 'osm-controller-tls', 'osm-controller-0', lateMs[1] ?? 0),
      }),
      log: pino({ level: 'warn' }, { write: (line: string) => void log.push(line.trim()) }),
      version: 'test',
      host,
      // Where the operator asks.
      xdsPort: 15128,
      apiPort: 0,
      healthPort: 0,
      drainMs: 100,
    });
    await runReplica('osm-controller', 'osm-controller-0', host);
    proxy = await startProxy(15128, host);
    for (const name of ['osm-injector', 'osm-controller']) await markAvailable(admin, name);
    await until('Ready', async () => (await condition('Ready'))?.status === 'True');
  });

  after(async () => {
    await Promise.all(envoys.map((envoy) => envoy.stop()));
    await stopOperator();
    await Promise.all(injectors.map((injector) => injector.end('SIGKILL')));
    await proxy?.stop();
    await controller?.stop();
    await Promise.allSettled(mounts.map((mounted) => mounted.stop()));
    client?.close();
    admin?.close();
    await server?.stop();
    await egress?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function startOperator(): Promise<void> {
    const started = createOperator({
      client,
      namespace,
      defaults: { image: 'example.com/osm:test', envoyImage: 'example.com/envoy:test' },
      waits,
      onTransition: () => {},
      onChange: (step, object) => log.push(`${step.kind} ${object}: ${step.reason}`),
      onCondition: (_object, { type, status, reason }) => log.push(`${type}=${status} ${reason}`),
      onUnasked: (error) => log.push(String(error)),
      askInjector: () => Promise.resolve(true),
    });
    operator = started;
    await started.start();
    passes = runPasses(started, { onPass: () => {}, onError: (error) => log.push(String(error)) });
  }

  async function stopOperator(): Promise<void> {
    await passes?.stop();
    operator?.stop();
  }

  async function follow(kind: typeof kinds.Secrets, name: string, to: string, late: number): Promise<string> {
    const own = { kind, name, namespace: kind === kinds.Secrets ? namespace : 'shop' };
    const mounted = await mount(admin, {
      ...own,
      directory: join(directory, to),
      lateMs: late,
      rewrite: (text) => text.replaceAll(TRUST_DIRECTORY, join(directory, to)).replaceAll(TOKEN_DIRECTORY, directory),
    });
    mounts.push(mounted);
    return mounted.directory;
  }

  /** The pod of a component, of its Deployment's template, at an address of loopback. */
  async function runReplica(component: string, name: string, address: string): Promise<void> {
    const deployment = await until(`Deployment ${component}`, () =>
      admin.get<KubeObject>(kinds.Deployments, component, namespace),
    );
    const { template } = deployment.spec as { template: { metadata: object; spec: object } };
    const metadata = { ...template.metadata, name, namespace };
    await admin.create(kinds.Pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec } as KubeObject);
    await setRunning(namespace, name, address);
  }

  function setRunning(where: string, name: string, ip: string): Promise<unknown> {
    const conditions = [{ type: 'Ready', status: 'True' }];
    return admin.request(
      'PATCH',
      `/api/v1/namespaces/${where}/pods/${name}/status`,
      { status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions } },
      { 'content-type': 'application/strategic-merge-patch+json' },
    );
  }

  async function condition(type: string): Promise<{ status: string; reason: string; message: string } | undefined> {
    const object = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
    const status = object?.status as {
      conditions?: { type: string; status: string; reason: string; message: string }[];
    };
    return status?.conditions?.find((each) => each.type === type);
  }
  const rotating = () => condition('ControlPlaneCARotating');
  const step = (reason: string) => until(reason, async () => (await rotating())?.reason === reason);
  const caSecret = async () =>
    (await admin.get<KubeObject>(kinds.Secrets, 'osm-control-plane-ca', namespace))?.data ?? {};

  const webPod = (name: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop' },
    spec: { serviceAccountName: 'web', containers: [{ name: 'web', image: 'web' }] },
  });

  /** One call of the webhook at a time: connections are cut between two. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  }
  let turn: Promise<unknown> = Promise.resolve();

  /** Asks for pods, each through a new connection to an injector, until it is stopped. */
  function admissions() {
    const failed: string[] = [];
    let asked = 0;
    let over = false;
    const before = egress.connections;
    const running = (async () => {
      while (!over && asked < 5_000) {
        asked += 1;
        await alone(async () => {
          try {
            const pod = await admin.create<KubeObject>(kinds.Pods, webPod('trial'), { dryRun: true });
            if (!JSON.stringify(pod.spec).includes('"envoy"')) failed.push('no sidecar');
          } catch (error) {
            failed.push(`${(await rotating())?.reason}: ${String(error)}`);
          }
          await egress.drop();
        });
      }
    })();
    return {
      async stop() {
        over = true;
        await running;
        assert.deepEqual(failed, [], `${failed.length} of ${asked}`);
        assert.ok(asked > 20, `${asked} requests`);
        // The first may find one open.
        assert.ok(
          egress.connections - before >= asked - 1,
          `${asked} requests by ${egress.connections - before} connections`,
        );
      },
    };
  }

  /** A pod that is injected as any other, with a real Envoy by its bootstrap. Resolves when that has its configuration. */
  async function startSidecar(name: string): Promise<RunningEnvoy> {
    const pod = await alone(() => admin.create<KubeObject>(kinds.Pods, webPod(name)));
    await setRunning('shop', name, `10.0.0.${randomInt(1, 255)}`);
    const uid = pod.metadata.uid ?? '';
    const own = join(directory, name);
    const trust = await follow(kinds.ConfigMaps, 'osm-trust', name, lateMs[1] ?? 0);
    await writeFile(join(directory, 'token'), await podToken(admin, 'shop', { name, uid, account: 'web' }));
    const { initContainers } = pod.spec as { initContainers: { name: string; args?: string[] }[] };
    const args = initContainers.find((container) => container.name === 'envoy')?.args ?? [];
    const text = (args[args.indexOf('--config-yaml') + 1] ?? '')
      .replaceAll('$$', '$')
      .replaceAll(TRUST_DIRECTORY, trust)
      .replaceAll(TOKEN_DIRECTORY, directory);
    const address = `"address":"osm-controller.${namespace}.svc","port_value":15128`;
    assert.ok(text.includes(address), `the bootstrap does not name the controller as this test expects: ${own}`);
    const parsed = JSON.parse(text.replace(address, `"address":"127.0.0.1","port_value":${proxy.port}`)) as {
      static_resources: object;
    };
    // The ready listener is on the pod's address, which this machine does not have.
    const bootstrap: Bootstrap = { ...parsed, static_resources: { ...parsed.static_resources, listeners: [] } };
    const envoy = await startEnvoy(bootstrap, { node: `shop/${name}/${uid}`, readyTimeoutMs: 60_000 });
    envoys.push(envoy);
    return envoy;
  }

  const isConnected = async (envoy: RunningEnvoy) => (await envoy.stat('control_plane.connected_state')) === 1;
  const untrusted = (envoy: RunningEnvoy) => envoy.stat('cluster.osm-controller.ssl.fail_verify_error');

  /** Makes the sidecars connect anew, and starts one more that has seen nothing before. */
  async function configuresSidecars(name: string): Promise<void> {
    const handshakes = await Promise.all(envoys.map((envoy) => envoy.stat('cluster.osm-controller.ssl.handshake')));
    proxy.refuse();
    proxy.accept();
    for (const [index, envoy] of envoys.entries()) {
      await until('a sidecar is connected anew', async () => {
        const now = await envoy.stat('cluster.osm-controller.ssl.handshake');
        return now > (handshakes[index] ?? 0) && (await isConnected(envoy));
      });
    }
    const fresh = await startSidecar(name);
    assert.ok(await isConnected(fresh), name);
    for (const envoy of envoys) assert.equal(await untrusted(envoy), 0, `${name}: a certificate was not trusted`);
    // The first one stays for all steps.
    await Promise.all(envoys.splice(1).map((envoy) => envoy.stop()));
  }

  /** From the moment that a rotation is under way until its end. */
  async function walks(name: string, interrupt: () => Promise<void>): Promise<void> {
    await step('WaitingToSwitch');
    await configuresSidecars(`${name}-waiting`);
    await interrupt();
    await until('the new CA signs', async () =>
      ['RetiringFormerCA', 'WaitingForReplicas'].includes((await rotating())?.reason ?? ''),
    );
    await configuresSidecars(`${name}-switched`);
    await step('NotRotating');
    await configuresSidecars(`${name}-over`);
  }

  it('on request: no pod is refused, and no sidecar loses its configuration, with an operator that is replaced half-way', async () => {
    await configuresSidecars('before');
    const before = await caSecret();
    const from = log.length;
    const load = admissions();
    await admin.request(
      'PATCH',
      `/apis/config.openservicemesh.io/v1alpha2/namespaces/${namespace}/meshconfigs/osm-mesh-config`,
      { metadata: { annotations: { 'openservicemesh.io/rotate-control-plane-ca': 'now' } } },
      { 'content-type': 'application/merge-patch+json' },
    );
    await walks('requested', async () => {
      await stopOperator();
      await startOperator();
    });
    await load.stop();
    const after = await caSecret();
    assert.notEqual(after['ca.crt'], before['ca.crt']);
    assert.deepEqual(Object.keys(after).sort(), ['ca.crt', 'private.key']);
    const trust = await admin.get<KubeObject>(kinds.ConfigMaps, 'osm-trust', 'shop');
    assert.equal(trust?.data?.['ca.crt'], Buffer.from(after['ca.crt'] ?? '', 'base64').toString(), 'one root is left');
    assert.equal((await condition('Ready'))?.status, 'True');
    const steps = log.slice(from).filter((line) => /^(ControlPlaneCARotating|Ready)=/.test(line));
    assert.deepEqual(
      [...new Set(steps)].filter((line) => !line.includes('WaitingForReplicas')),
      [
        'ControlPlaneCARotating=True AddingTrust',
        'ControlPlaneCARotating=True WaitingToSwitch',
        'ControlPlaneCARotating=True RetiringFormerCA',
        'ControlPlaneCARotating=False NotRotating',
      ],
      'and the mesh stayed Ready',
    );
  });

  it('with the Secret of the CA deleted: the same', async () => {
    const before = await caSecret();
    const load = admissions();
    await admin.delete(kinds.Secrets, 'osm-control-plane-ca', namespace);
    await walks('deleted', async () => {});
    await load.stop();
    const after = await caSecret();
    assert.notEqual(after['ca.crt'], before['ca.crt']);
    assert.deepEqual(Object.keys(after).sort(), ['ca.crt', 'private.key']);
  });
});
