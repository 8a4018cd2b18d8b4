/**
 * Two controllers on a real API server, a sidecar each: what one's sidecar has not acknowledged holds the other up, and the
 * MeshRootCertificates say so at each step; what they say lets a controller go on that starts when all are gone.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import pino from 'pino';
import { controlPlaneObjects } from '#cdk8s/control-plane.ts';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { fingerprintOf } from '#certificates/pem.ts';
import {
  readReport,
  type ReplicaReport,
  replicaLeaseName,
  replicaLeaseSelector,
  replicaReportAnnotation,
} from '#certificates/replica-report.ts';
import { loadOrCreateAuthority } from '#certificates/secret-store.ts';
import { type Controller, startController } from '#controller/controller.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import * as kinds from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { settings } from '#test/unit/cdk8s/fixtures.ts';
import { SECRET } from '#xds/cache/types.ts';
import { SecretSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  applyAll,
  bindController,
  controllerEnvironment,
  podToken,
  runPod,
  SimulatedSidecar,
} from './controller-support.ts';
import { clientAs, install, namespace } from './operator-support.ts';
import { type SidecarFiles, sidecarFiles } from './xds-support.ts';

/** One look in a minute but for what is due: whatever comes sooner was looked for. */
const timing = {
  ...{ missingMs: 100, foundMs: 60_000, spreadMs: 200, longestSpreadMs: 60_000, reconnectMs: 300, lingerMs: 500 },
  ...{ renewMs: 300, staleMs: 2_000 },
};
/** The controller counts a sidecar as behind when it has been connected for so long. */
const CONNECTED_MS = 2_000;

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

interface Status {
  readonly state?: string;
  readonly transitionAfter?: string;
  readonly observedGeneration?: number;
  readonly componentStatuses?: Readonly<Record<string, string>>;
  readonly conditions?: readonly Condition[];
}

describe('a walk between signers with two controllers', function () {
  this.timeout(120_000);
  let server: ApiServer;
  let admin: Client;
  let files: SidecarFiles;
  let client: SimulatedSidecar;
  let web: SimulatedSidecar;
  let connectedAt: number;
  const authorities = new Map<string, CertificateAuthority>();
  const clients: Client[] = [];
  const sidecars: SimulatedSidecar[] = [];
  const running = new Map<string, Controller>();
  const lines: string[] = [];

  before(async () => {
    [server, files] = await Promise.all([startApiServer(), sidecarFiles(namespace)]);
    admin = createClient(server.clientOptions);
    await install(admin);
    await bindController(admin, namespace);
    // There is no injector here, and this test makes injected pods by hand.
    await admin.delete(kinds.ValidatingAdmissionPolicyBindings, 'osm-sidecar-guard');
    await applyAll(admin, [
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'shop', labels: { 'openservicemesh.io/monitored-by': 'osm' } },
      },
      {
        apiVersion: 'config.openservicemesh.io/v1alpha2',
        kind: 'MeshConfig',
        metadata: { name: 'osm-mesh-config', namespace },
        spec: {},
      },
      // The Role that the operator makes for the Secrets that the MeshRootCertificates below name.
      ...controlPlaneObjects(settings({ providerSecrets: ['next', 'late'] })).filter(
        ({ metadata }) => metadata.name === 'osm-controller-providers',
      ),
    ]);
    const { authority } = await loadOrCreateAuthority(admin, { namespace, name: 'osm-ca-bundle' }, { now: Date.now() });
    authorities.set('former', authority);
    await makeSecret('next');
    await start('osm-controller-1');
    await start('osm-controller-2');
    client = await sidecar('osm-controller-1', 'client', '10.0.0.2');
    web = await sidecar('osm-controller-2', 'web', '10.0.0.1');
    connectedAt = Date.now();
  });

  after(async () => {
    for (const each of sidecars) each.close();
    await Promise.all([...running.values()].map((controller) => controller.stop()));
    for (const each of clients) each.close();
    admin?.close();
    await server?.stop();
    await files?.remove();
  });

  function until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
    const state = async (): Promise<string> => {
      const { items } = await admin.list<KubeObject>(kinds.MeshRootCertificates);
      const { items: leases } = await admin.list<KubeObject>(kinds.Leases, {
        namespace,
        labelSelector: replicaLeaseSelector,
      });
      return [
        ...items.map(
          ({ metadata, status }) => `${metadata.name}: ${JSON.stringify({ ...(status as object), roots: '' })}`,
        ),
        ...leases.map(({ metadata }) => `${metadata.name}: ${metadata.annotations?.[replicaReportAnnotation]}`),
        ...lines.slice(-10),
      ].join('\n');
    };
    return eventually(what, look, { deadlineMs: 20_000, everyMs: 50, state });
  }

  async function makeSecret(name: string): Promise<void> {
    const authority = await createAuthority({ now: Date.now(), commonName: name });
    authorities.set(name, authority);
    const content = { 'ca.crt': authority.certificatePem, 'private.key': authority.privateKey.revealText() };
    const data = Object.fromEntries(
      Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    );
    await applyAll(admin, [{ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data }]);
  }

  async function start(podName: string): Promise<void> {
    const least = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
    const spec = {
      serviceAccountName: 'osm-controller',
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ name: 'controller', image: 'none', securityContext: least }],
    };
    await applyAll(admin, [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: podName, namespace }, spec }]);
    const own = await clientAs(server, admin, 'osm-controller');
    clients.push(own);
    const controller = await startController({
      client: own,
      environment: controllerEnvironment({ namespace, podName, logLevel: 'info', tlsDirectory: files.tlsDirectory }),
      log: pino({ level: 'info' }, { write: (line: string) => void lines.push(`${podName}: ${line}`) }),
      version: 'test',
      host: '127.0.0.1',
      ...{ xdsPort: 0, apiPort: 0, healthPort: 0, drainMs: 50 },
      reporting: { pace: { againMs: 200 }, lease: { leaseMs: 3_000, retryMs: 200 } },
      certificateTiming: timing,
    });
    running.set(podName, controller);
    await until(`${podName} is ready`, async () => {
      const answer = await fetch(`http://127.0.0.1:${controller.healthPort}/health/ready`);
      return answer.ok || Promise.reject(new Error(await answer.text()));
    });
  }

  async function sidecar(podName: string, name: string, ip: string): Promise<SimulatedSidecar> {
    const pod = { name: `${name}-1`, account: name };
    const uid = await runPod(admin, 'shop', pod.name, { account: name, ip });
    const made = new SimulatedSidecar({
      port: running.get(podName)?.xdsPort ?? 0,
      rootsPem: files.authority.rootsPem,
      token: await podToken(admin, 'shop', { ...pod, uid }),
      node: `shop/${pod.name}/${uid}`,
    });
    sidecars.push(made);
    await until(`${name} has its secrets`, async () => made.names(SECRET).length === 2);
    return made;
  }

  async function root(name: string, role: string, secret = name, where = namespace): Promise<void> {
    const provider = { tresor: { ca: { secretRef: { name: secret, namespace: where } } } };
    const apiVersion = 'config.openservicemesh.io/v1alpha2';
    const metadata = { name, namespace: where };
    await applyAll(admin, [{ apiVersion, kind: 'MeshRootCertificate', metadata, spec: { role, provider } }]);
  }

  async function statusOf(name: string, where = namespace): Promise<Status> {
    const object = await admin.get<KubeObject>(kinds.MeshRootCertificates, name, where);
    return (object?.status ?? {}) as Status;
  }

  /** Waits until the status of the newest generation is so: `<state> <sidecar> <Ready>/<reason>`. */
  async function says(name: string, wanted: string, where = namespace): Promise<Status & { message: string }> {
    return until(`${name} is ${wanted}`, async () => {
      const object = await admin.get<KubeObject>(kinds.MeshRootCertificates, name, where);
      const status = (object?.status ?? {}) as Status;
      const ready = status.conditions?.find(({ type }) => type === 'Ready');
      const said = `${status.state} ${status.componentStatuses?.['sidecar']} ${ready?.status}/${ready?.reason}`;
      if (said !== wanted || ready === undefined) throw new Error(said);
      const { generation } = object?.metadata ?? {};
      return status.observedGeneration === generation && { ...status, message: ready.message };
    });
  }

  async function reportOf(podName: string): Promise<ReplicaReport> {
    const lease = await admin.get<KubeObject>(kinds.Leases, replicaLeaseName(podName), namespace);
    return readReport(lease?.metadata.annotations?.[replicaReportAnnotation]) ?? assert.fail(`no report of ${podName}`);
  }

  const printOf = (name: string): string =>
    fingerprintOf(new X509Certificate(authorities.get(name)?.certificatePem ?? assert.fail(name)));

  function signerOf(each: SimulatedSidecar): string | undefined {
    const bytes = each.held.get(SECRET)?.get('workload')?.bytes ?? new Uint8Array();
    const { type } = fromBinary(SecretSchema, bytes);
    if (type.case !== 'tlsCertificate') return undefined;
    const certificate = new X509Certificate(String(type.value.certificateChain?.specifier.value));
    const signed = [...authorities].find(([, { certificatePem }]) =>
      certificate.verify(new X509Certificate(certificatePem).publicKey),
    );
    return signed?.[0];
  }

  it('each says in a Lease that goes with its pod what its sidecars have', async () => {
    await root('former', 'active', 'osm-ca-bundle');
    await says('former', 'signing issuing True/Signing');
    for (const podName of running.keys()) {
      const report = await until('the report', async () => {
        const now = await reportOf(podName);
        return now.sidecars === 1 && now;
      });
      const [former] = [printOf('former')];
      const { given, acknowledged, signing, needed } = report;
      assert.deepEqual(
        { given, acknowledged, signing, needed },
        { given: [former], acknowledged: [former], signing: former, needed: [former] },
      );
      const lease = await admin.get<KubeObject>(kinds.Leases, replicaLeaseName(podName), namespace);
      const pod = await admin.get<KubeObject>(kinds.Pods, podName, namespace);
      assert.deepEqual(
        lease?.metadata.ownerReferences?.map(({ kind, uid }) => [kind, uid]),
        [['Pod', pod?.metadata.uid]],
      );
      const before = lease?.metadata.resourceVersion;
      await until('it is renewed', async () => {
        const again = await admin.get<KubeObject>(kinds.Leases, replicaLeaseName(podName), namespace);
        return again?.metadata.resourceVersion !== before;
      });
    }
  });

  it('a sidecar of one that does not acknowledge the new root holds the other’s switch up, and is named', async () => {
    await until('the sidecar counts', async () => Date.now() - connectedAt > CONNECTED_MS);
    web.silentOn.add(SECRET);
    await root('next', 'passive');
    const spreading = await says('next', 'spreading validating False/SpreadingTrust');
    assert.match(spreading.message, /former signs meanwhile\. .*: 1 of replica osm-controller-2 \(shop\/web-1\)\.$/);
    assert.ok(Date.parse(spreading.transitionAfter ?? '') > Date.now());
    assert.equal(spreading.conditions?.find(({ type }) => type === 'Reconciling')?.status, 'True');

    await root('next', 'active');
    await root('former', 'passive', 'osm-ca-bundle');
    const held = await says('former', 'handing-over issuing False/HandingOver');
    assert.match(held.message, /trust MeshRootCertificate next\. It waits for .*osm-controller-2 \(shop\/web-1\)\.$/);
    await says('next', 'spreading validating False/SpreadingTrust');
    await until('the other’s sidecar has both', async () =>
      (await reportOf('osm-controller-1')).acknowledged.includes(printOf('next')),
    );
    assert.deepEqual([client, web].map(signerOf), ['former', 'former']);

    web.speak();
    await says('next', 'signing issuing True/Signing');
    await says('former', 'trusted validating True/Trusted');
    assert.deepEqual([client, web].map(signerOf), ['next', 'next']);
    for (const podName of running.keys()) assert.equal((await reportOf(podName)).signing, printOf('next'));
  });

  it('the old root stays while a sidecar of one may show certificates of it', async () => {
    web.silentOn.add(SECRET);
    await root('former', 'active', 'osm-ca-bundle');
    await root('next', 'passive');
    await until('both certificates are of the former again', async () =>
      [client, web].map(signerOf).every((name) => name === 'former'),
    );
    await root('next', 'inactive');
    const retiring = await says('next', 'retiring validating False/Retiring');
    assert.match(retiring.message, /are replaced, at these replicas: osm-controller-2\.$/);
    assert.ok((await reportOf('osm-controller-1')).given.includes(printOf('next')));
    web.speak();
    await says('next', 'unused unused True/Unused');
    for (const podName of running.keys()) {
      await until('it is given no more', async () => (await reportOf(podName)).given.join() === printOf('former'));
    }
  });

  it('a Secret that comes later is found at once, and until then the status says what is missing', async () => {
    await root('late', 'passive');
    const { message } = await says('late', 'error unused False/CaSecretMissing');
    assert.match(message, /late.*MeshRootCertificate former signs meanwhile\.$/);
    const issued = await until('the condition', async () => {
      const mesh = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
      const { conditions = [] } = (mesh?.status ?? {}) as Status;
      return conditions.find(({ type, status }) => type === 'WorkloadCertificatesIssued' && status === 'False');
    });
    assert.match(issued.message, /^ca-secret-missing: .*MeshRootCertificate former signs meanwhile\.$/);
    const events = async (): Promise<(KubeObject & { reportingInstance?: string })[]> => {
      const { items } = await admin.list<KubeObject & { reason?: string }>(kinds.Events, { namespace });
      return items.filter(({ reason }) => reason === 'CertificatesNotIssued');
    };
    await until('an Event', async () => (await events()).length > 0);
    for (const podName of running.keys()) {
      await until(`${podName} found it, too`, async () =>
        lines.some((line) => line.startsWith(podName) && line.includes('ca-secret-missing')),
      );
    }
    assert.equal((await events()).length, 1, 'one tells for all');
    await makeSecret('late');
    await says('late', 'trusted validating True/Trusted');
  });

  it('one in another namespace is told that it counts for nothing', async () => {
    await root('stray', 'active', 'next', 'shop');
    const { message } = await says('stray', 'error unused False/NotThisNamespace', 'shop');
    assert.match(message, /make it in osm-system/);
  });

  it('three in use: who signs meanwhile is said, and stays so when every controller is lost at once', async () => {
    await root('next', 'active');
    const { message } = await says('next', 'error unused False/TooManyRootCertificates');
    assert.match(message, /former, .* MeshRootCertificate former signs meanwhile\.$/);
    assert.equal((await statusOf('former')).componentStatuses?.['sidecar'], 'issuing');
    for (const [podName, controller] of running) {
      await controller.stop();
      running.delete(podName);
      await admin.delete(kinds.Pods, podName, namespace);
      await admin.delete(kinds.Leases, replicaLeaseName(podName), namespace);
    }
    await start('osm-controller-3');
    const later = await sidecar('osm-controller-3', 'later', '10.0.0.3');
    assert.equal(signerOf(later), 'former');
    await admin.delete(kinds.MeshRootCertificates, 'late', namespace);
    await says('former', 'signing issuing True/Signing');
    await says('next', 'trusted validating True/Trusted');
  });
});
