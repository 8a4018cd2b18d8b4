/**
 * The built-in workload root rotated by an operator with its own rights on a real API server. The replicas of the controller are
 * played: what each says of its sidecars stands in the Lease that it would keep.
 */
import assert from 'node:assert/strict';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { fingerprintOf, readCertificates } from '#certificates/pem.ts';
import {
  type ReplicaReport,
  replicaLeaseLabel,
  replicaLeaseName,
  replicaReportAnnotation,
  writeReport,
} from '#certificates/replica-report.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import * as kinds from '#kubernetes/kinds.ts';
import { microTime } from '#kubernetes/lease.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { authorityData } from '#operator/ca-secret.ts';
import { createMetrics } from '#operator/metrics.ts';
import { eventFor } from '#operator/mesh-events.ts';
import { createOperator, type Operator } from '#operator/operator.ts';
import { runPasses, type Passes } from '#operator/passes.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { clientAs, install, markAvailable, meshConfig, namespace } from './operator-support.ts';

const rootWaits = { switchMs: 1_500, retireMs: 1_500 };
const waits = { trustMs: 60_000, retireMs: 60_000, askMs: 200 };
const pods = ['osm-controller-a', 'osm-controller-b'];

describe('rotation of the workload root on a real API server', function () {
  this.timeout(120_000);
  let server: ApiServer;
  let admin: Client;
  let client: Client;
  let operator: Operator | undefined;
  let passes: Passes | undefined;
  let events: string[];
  const metrics = createMetrics();
  const log: string[] = [];
  const until = (what: string, look: () => Promise<boolean>): Promise<boolean> =>
    eventually(what, look, {
      deadlineMs: 30_000,
      everyMs: 50,
      state: async () => `${log.slice(-20).join('\n')}\n${JSON.stringify(await rotating())}`,
    });

  before(async () => {
    server = await startApiServer();
    admin = createClient(server.clientOptions);
    await install(admin);
    client = await clientAs(server, admin, 'osm-operator');
    await admin.apply(kinds.MeshConfigs, meshConfig(), { fieldManager: 'test-user' });
    await startOperator();
    for (const name of ['osm-injector', 'osm-controller']) {
      await until(
        `Deployment ${name}`,
        async () => (await admin.get(kinds.Deployments, name, namespace)) !== undefined,
      );
      await markAvailable(admin, name);
    }
    for (const pod of pods) await runReplica(pod);
    await until('the root', async () => (await roots())[0] !== undefined);
  });
  beforeEach(async () => {
    events = [];
    await ask(null);
    await until('it rests', async () => (await rotating())?.status === 'False');
    events = [];
  });
  after(async () => {
    await stopOperator();
    client?.close();
    admin?.close();
    await server?.stop();
  });

  async function startOperator(): Promise<void> {
    const started = createOperator({
      client,
      namespace,
      defaults: { image: 'example.com/osm:test', envoyImage: 'example.com/envoy:test' },
      waits,
      rootWaits,
      onTransition: () => {},
      onChange: (step, object) => log.push(`${step.kind} ${object}: ${step.reason}`),
      onCondition: (object, condition) => {
        const event = eventFor(object, condition);
        if (condition.type === 'WorkloadRootRotating' && event !== undefined) events.push(event.reason);
      },
      onUnasked: (error) => log.push(String(error)),
    });
    operator = started;
    await started.start();
    passes = runPasses(started, {
      onPass: ({ observed }) => metrics.certificates(observed),
      onError: (error) => log.push(String(error)),
    });
  }

  async function stopOperator(): Promise<void> {
    await passes?.stop();
    operator?.stop();
  }

  /** The pod of the controller's Deployment. */
  async function runReplica(name: string): Promise<void> {
    const deployment = await admin.get<KubeObject>(kinds.Deployments, 'osm-controller', namespace);
    if (deployment === undefined) throw new Error('there is no Deployment of the controller');
    const { template } = deployment.spec as { template: { metadata: object; spec: object } };
    const metadata = { ...template.metadata, name, namespace };
    await admin.create(kinds.Pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec } as KubeObject);
    await admin.request(
      'PATCH',
      `/api/v1/namespaces/${namespace}/pods/${name}/status`,
      { status: { phase: 'Running', podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }] } },
      { 'content-type': 'application/strategic-merge-patch+json' },
    );
  }

  /** Fingerprints of the root that signs and of the one that stands by. */
  async function roots(): Promise<readonly (string | undefined)[]> {
    const secret = await admin.get<KubeObject>(kinds.Secrets, 'osm-ca-bundle', namespace);
    return ['ca.crt', 'standby.crt'].map((key) => {
      const [root] = readCertificates(Buffer.from(secret?.data?.[key] ?? '', 'base64').toString());
      return root && fingerprintOf(root);
    });
  }

  /** Somebody puts another authority into the Secret. */
  async function replace(authority: CertificateAuthority): Promise<void> {
    await admin.request(
      'PATCH',
      `/api/v1/namespaces/${namespace}/secrets/osm-ca-bundle`,
      { data: authorityData(authority) },
      { 'content-type': 'application/merge-patch+json' },
    );
  }

  /** A replica says that its sidecars have taken up all that the Secret asks for, but for `changes`. */
  async function say(pod: string, changes: Partial<ReplicaReport> = {}, renewedAt = Date.now()): Promise<void> {
    const [signing = '', standby] = await roots();
    const given = [signing, ...(standby === undefined ? [] : [standby])];
    const report: ReplicaReport = {
      ...{ given, acknowledged: given, signing, needed: [signing], signer: '', trustDomains: {} },
      ...{ sidecars: 2, behind: 0, behindNamed: [] },
      ...changes,
    };
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: replicaLeaseName(pod),
        namespace,
        labels: replicaLeaseLabel,
        annotations: { [replicaReportAnnotation]: writeReport(report) },
      },
      spec: { holderIdentity: pod, renewTime: microTime(renewedAt) },
    };
    await admin.apply(kinds.Leases, lease as KubeObject, { fieldManager: 'test-controller', force: true });
  }
  const sayAll = () => Promise.all(pods.map((pod) => say(pod)));

  async function ask(value: string | null): Promise<void> {
    await admin.request(
      'PATCH',
      `/apis/config.openservicemesh.io/v1alpha2/namespaces/${namespace}/meshconfigs/osm-mesh-config`,
      { metadata: { annotations: { 'openservicemesh.io/rotate-workload-ca': value } } },
      { 'content-type': 'application/merge-patch+json' },
    );
  }

  async function rotating(): Promise<{ status: string; reason: string; message: string } | undefined> {
    const object = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
    const status = object?.status as
      | { conditions?: { type: string; status: string; reason: string; message: string }[] }
      | undefined;
    return status?.conditions?.find(({ type }) => type === 'WorkloadRootRotating');
  }
  const says = (reason: string, message = /./) =>
    until(`${reason} ${message}`, async () => {
      const now = await rotating();
      return now?.reason === reason && message.test(now.message);
    });
  const step = async (): Promise<string | undefined> =>
    /osm_operator_workload_root_rotation_step\{step="(\w+)"\} 1/.exec(await metrics.registry.metrics())?.[1];

  it('walks on request, waits for each replica by name, and goes on with another operator', async () => {
    await sayAll();
    const [old] = await roots();
    await ask('first');
    await until('a root stands by', async () => (await roots())[1] !== undefined);
    const [, next] = await roots();
    await says('AddingRoot', /osm-controller-a \(it has not given it/);
    await say('osm-controller-a');
    await say('osm-controller-b', { acknowledged: [old ?? ''], behind: 1, behindNamed: ['shop/slow'] });
    await says('AddingRoot', /waiting for osm-controller-b \(not acknowledged by shop\/slow\)/);
    await stopOperator();
    await startOperator();
    await admin.delete(kinds.Leases, replicaLeaseName('osm-controller-b'), namespace);
    await says('AddingRoot', /osm-controller-b \(it reports nothing\)/);
    await say('osm-controller-b', {}, Date.now() - 120_000);
    await says('AddingRoot', /osm-controller-b \(it reports nothing\)/);
    assert.equal(await step(), 'adding');
    await say('osm-controller-b');
    await says('WaitingToSwitch');
    assert.equal(await step(), 'waiting');
    assert.deepEqual(await roots(), [old, next]);
    await until('the switch', async () => (await roots())[0] === next);
    await says('RetiringFormerRoot', /osm-controller-a \(it does not sign by the other root yet\)/);
    await say('osm-controller-a', { needed: [old ?? '', next ?? ''] });
    await say('osm-controller-b');
    await says('RetiringFormerRoot', /waiting for osm-controller-a \(certificates in use lead to it\)\.$/);
    assert.deepEqual(await roots(), [next, old]);
    assert.equal(await step(), 'retiring');
    await say('osm-controller-a');
    await says('Off');
    assert.deepEqual(await roots(), [next, undefined]);
    assert.equal(await step(), 'none');
    assert.deepEqual(events, ['AddingRoot', 'WaitingToSwitch', 'RetiringFormerRoot', 'Off']);
  });

  it('is taken back after the switch, to the very same root', async () => {
    const [old] = await roots();
    await ask('second');
    await until('a root stands by', async () => (await roots())[1] !== undefined);
    const [, next] = await roots();
    await sayAll();
    await until('the switch', async () => (await roots())[0] === next);
    await ask('back');
    await says('TakingBack');
    await until('the switch back', async () => (await roots())[0] === old);
    await sayAll();
    await says('TakenBack');
    assert.deepEqual(await roots(), [old, undefined]);
    assert.equal(events.at(-1), 'TakenBack');
  });

  it('begins by itself at the interval, and stands still while paused', async () => {
    const set = (rotation: object | null) =>
      admin.request(
        'PATCH',
        `/apis/config.openservicemesh.io/v1alpha2/namespaces/${namespace}/meshconfigs/osm-mesh-config`,
        { spec: { certificate: { rotation } } },
        { 'content-type': 'application/merge-patch+json' },
      );
    await assert.rejects(set({ interval: '59m' }), /interval must be 1h or longer/);
    await set({ interval: '2h' });
    await says('NotRotating', /a new one takes over from/);
    await replace(await createAuthority({ now: Date.now() - 90 * 60_000 }));
    const [old] = await roots();
    await sayAll();
    await says('NotRotating', new RegExp((old ?? '').slice(0, 12)));
    await set({ interval: '1h' });
    await until('a root stands by', async () => (await roots())[1] !== undefined);
    assert.equal(log.at(-1), 'rotate-root workload root: begin: root-due');
    await set({ interval: '1h', paused: true });
    await says('Paused');
    await sayAll();
    await operator?.reconcile();
    assert.equal((await roots())[0], old);
    await set(null);
    await until('the switch', async () => (await roots())[0] !== old);
    await sayAll();
    await says('Off');
  });

  it('never touches a user’s own CA, nor anything while a MeshRootCertificate says who signs', async () => {
    const made = await createAuthority({ now: Date.now(), commonName: 'of a user' });
    const elsewhere = {
      apiVersion: 'config.openservicemesh.io/v1alpha2',
      kind: 'MeshRootCertificate',
      metadata: { name: 'theirs', namespace },
      spec: {
        ...{ role: 'active', trustDomain: 'cluster.local' },
        provider: { certManager: { issuerName: 'ca', issuerKind: 'Issuer', issuerGroup: 'cert-manager.io' } },
      },
    };
    await admin.create(kinds.MeshRootCertificates, elsewhere as KubeObject);
    await says('NotOurs', /MeshRootCertificate theirs/);
    const before = await roots();
    await ask('fourth');
    await operator?.reconcile();
    assert.deepEqual(await roots(), before);
    await ask(null);
    await admin.delete(kinds.MeshRootCertificates, 'theirs', namespace);
    await says('Off');
    await replace(made);
    await says('NotOurs', /not made/);
    await ask('fifth');
    await operator?.reconcile();
    assert.deepEqual(await roots(), [made.fingerprint, undefined]);
  });
});
