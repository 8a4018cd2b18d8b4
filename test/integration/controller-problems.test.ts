/**
 * How problems reach users, on a real API server: two controllers and the operator, each with its own rights. What each
 * of the three writes on the MeshConfig must leave the others' alone.
 */
import assert from 'node:assert/strict';
import pino from 'pino';
import { type Controller, startController } from '#controller/controller.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import * as kinds from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { createOperator, type Operator } from '#operator/operator.ts';
import { type Passes, runPasses } from '#operator/passes.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { LISTENER, SECRET } from '#xds/cache/types.ts';
import { controllerEnvironment, applyAll, podToken, runPod, SimulatedSidecar } from './controller-support.ts';
import { clientAs, install, meshConfig, namespace } from './operator-support.ts';
import { type SidecarFiles, sidecarFiles } from './xds-support.ts';

interface StoredEvent extends KubeObject {
  type: string;
  reason: string;
  note: string;
  series?: { count: number };
  reportingInstance: string;
  regarding: { apiVersion: string; kind: string; uid: string; resourceVersion: string; fieldPath?: string };
}

interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
  observedGeneration: number;
  lastTransitionTime: string;
}

describe('problems on a real API server', function () {
  this.timeout(180_000);
  let server: ApiServer;
  let admin: Client;
  let files: SidecarFiles;
  let operator: Operator;
  let passes: Passes;
  const clients: Client[] = [];
  const running = new Map<string, Controller>();
  const lines: string[] = [];
  /** What each controller wrote, as `pod Kind`. */
  const writes: string[] = [];

  before(async () => {
    [server, files] = await Promise.all([startApiServer(), sidecarFiles(namespace)]);
    admin = createClient(server.clientOptions);
    await install(admin);
    // The guard would refuse pods here: there is no injector, and this test makes injected pods by hand.
    await admin.delete(kinds.ValidatingAdmissionPolicyBindings, 'osm-sidecar-guard');
    const labels = { 'openservicemesh.io/monitored-by': 'osm' };
    await applyAll(admin, [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } },
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } },
      meshConfig(),
    ]);
    const client = await clientAs(server, admin, 'osm-operator');
    clients.push(client);
    operator = createOperator({
      client,
      namespace,
      defaults: { image: 'none', envoyImage: 'none' },
      onTransition: () => undefined,
      onChange: (step, object) => lines.push(`operator: ${step.kind} ${object}`),
      onCondition: (_object, { type, status }) => lines.push(`operator: ${type}=${status}`),
    });
    await operator.start();
    passes = runPasses(operator, { onPass: () => undefined, onError: (error) => lines.push(String(error)) });
    await until('the operator made the account', () => admin.get(kinds.ServiceAccounts, 'osm-controller', namespace));
    await until('the operator made the root', () => admin.get(kinds.Secrets, 'osm-ca-bundle', namespace));
    await until('the operator bound the roles', async () => {
      const { items } = await admin.list(kinds.RoleBindings, { namespace });
      const clusterWide = await admin.get(kinds.ClusterRoleBindings, 'osm-controller');
      return clusterWide !== undefined && items.some(({ metadata }) => metadata.name === 'osm-controller');
    });
    await start('osm-controller-1');
    await start('osm-controller-2');
  });

  after(async () => {
    await Promise.all([...running.values()].map((controller) => controller.stop()));
    await passes?.stop();
    operator?.stop();
    for (const client of clients) client.close();
    admin?.close();
    await server?.stop();
    await files?.remove();
  });

  async function start(podName: string): Promise<void> {
    const client = await clientAs(server, admin, 'osm-controller');
    clients.push(client);
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(`${podName}: ${line}`) });
    const controller = await startController({
      client: noting(podName, client),
      environment: controllerEnvironment({
        namespace,
        podName,
        logLevel: 'info',
        tlsDirectory: files.tlsDirectory,
      }),
      log,
      version: 'test',
      host: '127.0.0.1',
      xdsPort: 0,
      apiPort: 0,
      healthPort: 0,
      drainMs: 100,
      reporting: { pace: { settleMs: 200, againMs: 200 }, lease: { leaseMs: 3_000, retryMs: 200 } },
    });
    running.set(podName, controller);
    await until(`${podName} is ready`, async () => (await health(podName, '/health/ready')) !== '');
  }

  /** The same client, whose writes are noted. */
  function noting(podName: string, client: Client): Client {
    const noted = Object.create(client) as Client;
    noted.create = (kind, object, options) => {
      writes.push(`${podName} ${kind.kind}`);
      return client.create(kind, object, options);
    };
    noted.apply = (kind, object, options) => {
      writes.push(`${podName} ${kind.kind}`);
      return client.apply(kind, object, options);
    };
    noted.request = (method, path, body, headers) => {
      if (method === 'PATCH') writes.push(`${podName} ${path}`);
      return client.request(method, path, body, headers);
    };
    return noted;
  }

  function until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
    const state = async (): Promise<string> =>
      [JSON.stringify(await conditions().catch(String)), ...lines.slice(-20)].join('\n');
    return eventually(what, look, { deadlineMs: 30_000, everyMs: 50, state });
  }

  async function health(podName: string, path: string): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${running.get(podName)?.healthPort}${path}`);
    return answer.status === 200 ? answer.text() : '';
  }

  /** The value of a metric; undefined when it is not there. */
  async function metric(podName: string, name: string): Promise<number | undefined> {
    const line = (await health(podName, '/metrics')).split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  }

  async function leader(): Promise<string | undefined> {
    for (const podName of running.keys()) if ((await metric(podName, 'osm_controller_leader')) === 1) return podName;
    return undefined;
  }

  const problems = (podName: string, key: string): Promise<number | undefined> =>
    metric(podName, `osm_problems{key="${key}"}`);

  async function conditions(): Promise<Condition[]> {
    const object = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
    return (object?.status as { conditions?: Condition[] } | undefined)?.conditions ?? [];
  }

  const policiesAccepted = (status: string): Promise<Condition> =>
    until(`PoliciesAccepted=${status}`, async () =>
      (await conditions()).find((one) => one.type === 'PoliciesAccepted' && one.status === status),
    );

  async function events(reason: string, where = 'shop'): Promise<StoredEvent[]> {
    const { items } = await admin.list<StoredEvent>(kinds.Events, { namespace: where });
    return items.filter((event) => event.reason === reason);
  }

  const serviceSpeaking = (appProtocol: string, name = 'odd'): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec: { selector: { app: name }, ports: [{ name: 'main', port: 80, appProtocol }] },
  });

  it('say on the MeshConfig that all is accepted, beside what the operator says', async () => {
    const condition = await policiesAccepted('True');
    assert.deepEqual([condition.reason, condition.observedGeneration], ['AllAccepted', 1]);
    await until('the operator’s conditions', async () => (await conditions()).some(({ type }) => type === 'Ready'));
    assert.ok((await conditions()).length > 1);
  });

  it('are one Event on the object, by the one controller that leads, and a condition', async () => {
    await applyAll(admin, [serviceSpeaking('postgres')]);
    const condition = await policiesAccepted('False');
    assert.match(condition.message, /^1 problem: port-protocol-unknown in Service shop\/odd, spec\.ports\[0\]/);
    for (const podName of running.keys())
      await until(`${podName} found it`, async () => (await problems(podName, 'port-protocol-unknown')) === 1);
    const [event, ...more] = await until('the Event', async () => {
      const found = await events('PortProtocolUnknown');
      return found.length > 0 && found;
    });
    assert.ok(event);
    assert.deepEqual(more, []);
    const service = await admin.get<KubeObject>(kinds.Services, 'odd', 'shop');
    assert.deepEqual(event.regarding, {
      apiVersion: 'v1',
      kind: 'Service',
      name: 'odd',
      namespace: 'shop',
      uid: service?.metadata.uid,
      resourceVersion: service?.metadata.resourceVersion,
      fieldPath: 'spec.ports[0].appProtocol',
    });
    assert.equal(event.type, 'Warning');
    assert.match(event.note, /"postgres".*Use http.*\(port-protocol-unknown, spec\.ports\[0\]\.appProtocol\)$/);
    assert.equal(event.reportingInstance, await leader());
    assert.equal(event.series, undefined, 'told once');
    // What `kubectl get events` and `kubectl describe` ask for: the older API, with these selectors.
    const noteOf = async (fieldSelector: string): Promise<string[]> => {
      const path = `/api/v1/namespaces/shop/events?fieldSelector=${encodeURIComponent(fieldSelector)}`;
      const { items } = await admin.request<{ items: { message: string }[] }>('GET', path);
      return items.map(({ message }) => message);
    };
    assert.deepEqual(await noteOf('reportingComponent=openservicemesh.io/osm-controller'), [event.note]);
    const selector = `involvedObject.kind=Service,involvedObject.name=odd,involvedObject.uid=${service?.metadata.uid}`;
    assert.deepEqual(await noteOf(selector), [event.note]);
  });

  it('are told of objects that cannot be read at all, where they are in the mesh', async () => {
    const group = (where: string): KubeObject => ({
      apiVersion: 'specs.smi-spec.io/v1alpha4',
      kind: 'HTTPRouteGroup',
      metadata: { name: 'unreadable', namespace: where },
      spec: { matches: [{ name: 'all', headers: 'none' }] },
    });
    await applyAll(admin, [group('elsewhere'), group('shop')]);
    const event = await until('the Event', async () => (await events('ObjectInvalid'))[0]);
    assert.match(event.note, /^HTTPRouteGroup shop\/unreadable: spec\.matches.*headers/);
    assert.deepEqual(await events('ObjectInvalid', 'elsewhere'), []);
    await admin.delete(kinds.HttpRouteGroups, 'unreadable', 'shop');
    await until('one problem is left', async () =>
      (await conditions()).some(({ message }) => message.startsWith('1 problem: port-protocol-unknown')),
    );
  });

  it('leave what the operator says on the MeshConfig as it was, and give it nothing to write', async () => {
    await passes.idle();
    const before = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
    const pass = await operator.reconcile();
    assert.equal(pass.statusWritten, false);
    const after = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
    assert.equal(after?.metadata.resourceVersion, before?.metadata.resourceVersion);
    const { managedFields = [] } = (after?.metadata ?? {}) as {
      managedFields?: { manager: string; fieldsV1: { 'f:status'?: { 'f:conditions'?: object } } }[];
    };
    const typesOf = (manager: string): string[] =>
      managedFields
        .filter((fields) => fields.manager === manager)
        .flatMap(({ fieldsV1 }) => Object.keys(fieldsV1['f:status']?.['f:conditions'] ?? {}));
    assert.deepEqual(typesOf('osm-controller'), [
      'k:{"type":"PlaintextAccepted"}',
      'k:{"type":"PoliciesAccepted"}',
      'k:{"type":"WorkloadCertificatesIssued"}',
    ]);
    assert.ok(typesOf('osm-operator').length > 1);
    assert.ok(!typesOf('osm-operator').includes('k:{"type":"PoliciesAccepted"}'));
  });

  it('are gone from condition and metric when they are solved, and told again when they are back', async () => {
    const others = async (): Promise<string> =>
      JSON.stringify((await conditions()).filter(({ type }) => type !== 'PoliciesAccepted'));
    await passes.idle();
    const said = await others();
    const broken = await policiesAccepted('False');
    await applyAll(admin, [serviceSpeaking('http')]);
    const mended = await policiesAccepted('True');
    for (const podName of running.keys())
      await until('the metric', async () => (await problems(podName, 'port-protocol-unknown')) === undefined);
    assert.equal((await events('PortProtocolUnknown'))[0]?.series, undefined);

    await applyAll(admin, [serviceSpeaking('postgres')]);
    const back = await policiesAccepted('False');
    assert.ok(mended.lastTransitionTime >= broken.lastTransitionTime);
    assert.ok(back.lastTransitionTime >= mended.lastTransitionTime);
    await until('the Event counts two', async () => (await events('PortProtocolUnknown'))[0]?.series?.count === 2);
    assert.equal((await events('PortProtocolUnknown')).length, 1);
    assert.equal(await others(), said, 'what the operator says did not change');
  });

  it('say of each generation of the MeshConfig that they were looked for', async () => {
    await applyAll(admin, [meshConfig({ traffic: { enableEgress: false } })]);
    await until('generation 2', async () =>
      (await conditions()).some((one) => one.type === 'PoliciesAccepted' && one.observedGeneration === 2),
    );
    // Nothing that a compile reads: no revision comes of it.
    await applyAll(admin, [
      meshConfig({ traffic: { enableEgress: false }, controlPlane: { injector: { replicas: 3 } } }),
    ]);
    await until('generation 3', async () =>
      (await conditions()).some((one) => one.type === 'PoliciesAccepted' && one.observedGeneration === 3),
    );
  });

  it('are told anew of an object that was deleted and made again', async () => {
    const before = await events('PortProtocolUnknown');
    await admin.delete(kinds.Services, 'odd', 'shop');
    await applyAll(admin, [serviceSpeaking('postgres')]);
    const service = await admin.get<KubeObject>(kinds.Services, 'odd', 'shop');
    await until('an Event on the new one', async () =>
      (await events('PortProtocolUnknown')).some(({ regarding }) => regarding.uid === service?.metadata.uid),
    );
    assert.equal((await events('PortProtocolUnknown')).length, before.length + 1);
  });

  it('are told by the next controller when the leader stops, and what is told already is not told again', async () => {
    const first = (await leader()) ?? '';
    const byOthers = writes.filter((write) => !write.startsWith(`${first} `) && !write.endsWith(' Lease'));
    assert.deepEqual(byOthers, [], 'until now only one has written');
    assert.ok(writes.includes(`${first} MeshConfig`) && writes.includes(`${first} Event`), writes.join('\n'));
    const told = await events('PortProtocolUnknown');
    await running.get(first)?.stop();
    running.delete(first);
    const second = await until('another leads', leader);
    assert.notEqual(second, first);
    await applyAll(admin, [serviceSpeaking('mongo', 'odder')]);
    const isNew = ({ regarding }: StoredEvent): boolean => !told.some((one) => one.regarding.uid === regarding.uid);
    const event = await until('its Event', async () => (await events('PortProtocolUnknown')).find(isNew));
    assert.equal(event.reportingInstance, second);
    await until('the condition', async () => (await policiesAccepted('False')).message.startsWith('2 problems: '));
    // It is told of the old problem in the round of the new one at the latest.
    const versions = (list: readonly StoredEvent[]): string[] =>
      list.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`).toSorted();
    const later = (await events('PortProtocolUnknown')).filter((one) => !isNew(one));
    assert.deepEqual(versions(later), versions(told));
    await start(first);
  });

  it('do not disturb sidecars when the Lease is lost', async () => {
    const lease = await admin.get<KubeObject & { spec: object }>(kinds.Leases, 'osm-controller', namespace);
    assert.ok(lease);
    await eventually('the Lease is overwritten', async () => {
      const current = await admin.get<KubeObject & { spec: object }>(kinds.Leases, 'osm-controller', namespace);
      return (
        current &&
        admin.replace(kinds.Leases, { ...current, spec: { ...current.spec, holderIdentity: 'thief' } } as KubeObject)
      );
    });
    await until('nobody leads', async () => (await leader()) === undefined);
    const uid = await runPod(admin, 'shop', 'web-1', { account: 'web', ip: '10.0.0.1' });
    const token = await podToken(admin, 'shop', { name: 'web-1', uid, account: 'web' });
    for (const [podName, { xdsPort }] of running) {
      assert.notEqual(await health(podName, '/health/ready'), '');
      const sidecar = new SimulatedSidecar({
        port: xdsPort,
        rootsPem: files.authority.rootsPem,
        token,
        node: `shop/web-1/${uid}`,
      });
      try {
        await until(
          `${podName} serves`,
          async () => sidecar.names(SECRET).length === 2 && sidecar.names(LISTENER).length > 0,
        );
      } finally {
        sidecar.close();
      }
    }
    await until('somebody leads again', leader);
  });

  it('are all told when many come at once', async () => {
    const many = Array.from({ length: 45 }, (_, index) => serviceSpeaking('redis', `many-${index}`));
    await Promise.all(many.map((service) => applyAll(admin, [service])));
    const told = await until('an Event on each', async () => {
      const found = (await events('PortProtocolUnknown')).filter(({ note }) => note.includes('redis'));
      return found.length >= many.length && found;
    });
    assert.equal(new Set(told.map(({ regarding }) => regarding.uid)).size, many.length);
    await until(
      'nothing is left to tell',
      async () => (await metric((await leader()) ?? '', 'osm_problems_untold')) === 0,
    );
  });

  it('are written without a refusal by the API server', () => {
    const refusals = lines.filter((line) => /not written|could not be reported|Forbidden/.test(line));
    assert.deepEqual(refusals, []);
  });
});
