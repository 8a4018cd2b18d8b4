/**
 * The certificate of an ingress gateway, on a real API server: the operator lets the controller write one Secret, one of two
 * controllers keeps it, each with its own rights. A rotation is watched version by version. No garbage collector runs here;
 * that the Secret goes with its Role is shown end to end.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import pino from 'pino';
import type { CertificateAuthority } from '#certificates/ca.ts';
import { issueWorkload } from '#certificates/leaf.ts';
import { readCertificates } from '#certificates/pem.ts';
import { loadAuthority } from '#certificates/secret-store.ts';
import { type Controller, startController } from '#controller/controller.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import { isStatus } from '#kubernetes/error.ts';
import * as kinds from '#kubernetes/kinds.ts';
import { createReflector } from '#kubernetes/reflector.ts';
import type { KubeObject, Reflector } from '#kubernetes/types.ts';
import { createOperator, type Operator } from '#operator/operator.ts';
import { type Passes, runPasses } from '#operator/passes.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { applyAll, controllerEnvironment } from './controller-support.ts';
import { clientAs, install, meshConfig, namespace } from './operator-support.ts';
import { type SidecarFiles, sidecarFiles } from './xds-support.ts';

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

const type = 'IngressGatewayCertificateIssued';
const names = ['gateway.example.com', 'other.example.com'];
const refused = (error: unknown): boolean => isStatus(error, 403);
const path = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${namespace}/meshrootcertificates/next`;

describe('the certificate of an ingress gateway on a real API server', function () {
  this.timeout(180_000);
  let server: ApiServer;
  let admin: Client;
  let files: SidecarFiles;
  let operator: Operator;
  let passes: Passes;
  let versions: Reflector<KubeObject>;
  const clients: Client[] = [];
  const running = new Map<string, Controller>();
  const lines: string[] = [];
  /** Every version of the Secret `edge/tls` since the last look. */
  const seen: KubeObject[] = [];
  /** Lines of keys, which must stand in no log. */
  const secrets = new Set<string>();

  before(async () => {
    [server, files] = await Promise.all([startApiServer(), sidecarFiles(namespace)]);
    admin = createClient(server.clientOptions);
    await install(admin);
    await applyAll(admin, [meshConfig()]);
    const client = await clientAs(server, admin, 'osm-operator');
    clients.push(client);
    operator = createOperator({
      client,
      namespace,
      defaults: { image: 'none', envoyImage: 'none' },
      onTransition: () => undefined,
      onChange: (step, object) => lines.push(`operator: ${step.kind} ${object}`),
      onCondition: (_object, { type: condition, status }) => lines.push(`operator: ${condition}=${status}`),
    });
    await operator.start();
    passes = runPasses(operator, { onPass: () => undefined, onError: (error) => lines.push(String(error)) });
    await until('the operator made the account', () => admin.get(kinds.ServiceAccounts, 'osm-controller', namespace));
    await until('the operator made the root', () => admin.get(kinds.Secrets, 'osm-ca-bundle', namespace));
    await until('the operator bound the roles', async () => {
      const clusterWide = await admin.get(kinds.ClusterRoleBindings, 'osm-controller');
      return (await admin.get(kinds.RoleBindings, 'osm-controller', namespace)) && clusterWide;
    });
    await start('osm-controller-1');
    await until('the first one leads', async () => (await metric('osm-controller-1', 'osm_controller_leader')) === 1);
    await start('osm-controller-2');
    versions = createReflector<KubeObject>({
      client: admin,
      kind: kinds.Secrets,
      list: { namespace: 'edge' },
      transform: (object) => object,
      onTransition: () => undefined,
    });
    versions.store.subscribe((change) => {
      if (change.type === 'deleted' || change.object.metadata.name !== 'tls') return;
      for (const line of textOf(change.object, 'tls.key').split('\n')) if (line.length > 20) secrets.add(line);
      seen.push(change.object);
    });
    versions.start();
  });

  after(async () => {
    versions?.stop();
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
    const controller = await startController({
      client,
      environment: controllerEnvironment({ namespace, podName, logLevel: 'trace', tlsDirectory: files.tlsDirectory }),
      log: pino({ level: 'trace' }, { write: (line: string) => void lines.push(`${podName}: ${line}`) }),
      version: 'test',
      host: '127.0.0.1',
      xdsPort: 0,
      apiPort: 0,
      healthPort: 0,
      drainMs: 50,
      reporting: { pace: { againMs: 200 }, lease: { leaseMs: 3_000, retryMs: 200 } },
      certificateTiming: {
        ...{ missingMs: 100, foundMs: 500, spreadMs: 1_500, longestSpreadMs: 3_000, lingerMs: 1_500 },
        ...{ renewMs: 500, staleMs: 2_000 },
      },
    });
    running.set(podName, controller);
    await until(`${podName} is ready`, async () => {
      const answer = await fetch(`http://127.0.0.1:${controller.healthPort}/health/ready`);
      return answer.status === 200;
    });
  }

  function until<T>(what: string, look: () => Promise<T | undefined | false>, deadlineMs = 20_000): Promise<T> {
    const state = async (): Promise<string> =>
      [
        JSON.stringify(await condition().catch(String)),
        ...lines.filter((line) => !/"level":1/.test(line)).slice(-15),
      ].join('\n');
    return eventually(what, look, { deadlineMs, everyMs: 50, state });
  }

  async function metric(podName: string, name: string): Promise<number | undefined> {
    const answer = await fetch(`http://127.0.0.1:${running.get(podName)?.healthPort}/metrics`);
    const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(await answer.text())?.[1];
    return value === undefined ? undefined : Number(value);
  }

  const ask = (changes: object = {}): Promise<void> => {
    const ingressGateway = {
      subjectAltNames: names,
      validityDuration: '24h',
      secret: { name: 'tls', namespace: 'edge' },
      ...changes,
    };
    return applyAll(admin, [meshConfig({ certificate: { ingressGateway } })]);
  };

  async function condition(): Promise<Condition | undefined> {
    const object = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
    const { conditions = [] } = (object?.status ?? {}) as { conditions?: Condition[] };
    return conditions.find((each) => each.type === type);
  }
  const told = (status: string, reason: string): Promise<Condition> =>
    until(`${type}=${status} ${reason}`, async () => {
      const found = await condition();
      return found?.status === status && found.reason === reason ? found : undefined;
    });

  const stored = (name = 'tls'): Promise<KubeObject | undefined> => admin.get<KubeObject>(kinds.Secrets, name, 'edge');
  const textOf = (secret: KubeObject | undefined, key: string): string =>
    Buffer.from(secret?.data?.[key] ?? '', 'base64').toString();
  const leafOf = (secret: KubeObject | undefined): X509Certificate | undefined =>
    readCertificates(textOf(secret, 'tls.crt'))[0];
  const signedBy = (secret: KubeObject | undefined, rootPem: string): boolean =>
    leafOf(secret)?.verify(new X509Certificate(rootPem).publicKey) === true;
  const authority = async (name: string): Promise<CertificateAuthority> =>
    (await loadAuthority(admin, { namespace, name }, Date.now())) ?? assert.fail(`no Secret ${name}`);
  const patch = (data: Readonly<Record<string, string>>, name = 'tls'): Promise<unknown> =>
    admin.request(
      'PATCH',
      `/api/v1/namespaces/edge/secrets/${name}`,
      {
        data: Object.fromEntries(
          Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
        ),
      },
      { 'content-type': 'application/merge-patch+json' },
    );
  const changedFrom = (before: KubeObject | undefined): Promise<KubeObject> =>
    until('another certificate', async () => {
      const now = await stored();
      return now !== undefined && leafOf(now)?.serialNumber !== leafOf(before)?.serialNumber ? now : undefined;
    });

  it('says that the namespace is missing, in condition and Event, and goes on when it is there', async () => {
    assert.equal(await condition(), undefined, 'nothing is said while nothing is asked for');
    await ask();
    const { message } = await told('False', 'NamespaceMissing');
    assert.match(message, /^gateway-namespace-missing: There is no namespace edge; make it, or name another/);
    const event = await until('the Event', async () => {
      const { items } = await admin.list<KubeObject & { reason?: string; note?: string }>(kinds.Events, { namespace });
      return items.find(({ reason }) => reason === 'GatewayCertificateNotIssued');
    });
    assert.match(event.note ?? '', /^gateway-namespace-missing: /);
    const other = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'other', namespace: 'edge' } };
    await applyAll(admin, [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'edge' } }, other]);
    const { message: issued } = await told('True', 'Issued');
    const end = leafOf(await stored())?.validToDate ?? assert.fail('no certificate');
    assert.equal(
      issued,
      `Secret edge/tls holds a certificate for ${names.join(', ')} until ${end.toISOString()}; it is renewed before.`,
    );
    const expiry = 'osm_ingress_gateway_certificate_expiry_timestamp_seconds';
    assert.equal(await metric('osm-controller-1', expiry), end.getTime() / 1000);
    assert.equal(await metric('osm-controller-2', expiry), 0);
  });

  it('stores a pair that both ends of a connection take: the gateway by ca.crt, a workload by its root', async () => {
    const secret = await stored();
    assert.equal((secret as { type?: string } | undefined)?.type, 'kubernetes.io/tls');
    assert.equal(leafOf(secret)?.subjectAltName, names.map((name) => `DNS:${name}`).join(', '));
    const root = await authority('osm-ca-bundle');
    const workload = await issueWorkload(root, { namespace: 'shop', name: 'web' }, 'cluster.local', {
      now: Date.now(),
      lifetimeMs: 3_600_000,
    });
    const backend = createServer({
      cert: workload.chainPem,
      key: workload.privateKey.revealText(),
      ca: root.rootsPem,
      requestCert: true,
      rejectUnauthorized: true,
    });
    backend.listen(0, '127.0.0.1');
    await once(backend, 'listening');
    try {
      const accepted = once(backend, 'secureConnection') as Promise<[TLSSocket]>;
      const gateway = connect({
        port: (backend.address() as AddressInfo).port,
        host: '127.0.0.1',
        servername: 'web.shop.cluster.local', // what the reference has an ingress expect
        cert: textOf(secret, 'tls.crt'),
        key: textOf(secret, 'tls.key'),
        ca: textOf(secret, 'ca.crt'),
      });
      await once(gateway, 'secureConnect');
      const [socket] = await accepted;
      assert.deepEqual([gateway.authorized, socket.authorized], [true, true]);
      gateway.destroy();
    } finally {
      backend.close();
    }
  });

  it('gives the controller that one Secret, and no other of the namespace', async () => {
    const [, controller = assert.fail()] = clients;
    await assert.rejects(controller.get(kinds.Secrets, 'other', 'edge'), refused);
    await assert.rejects(controller.list(kinds.Secrets, { namespace: 'edge' }), refused);
    const another = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'another', namespace: 'edge' } };
    await assert.rejects(controller.create(kinds.Secrets, another), refused);
    await assert.rejects(controller.apply(kinds.Secrets, another, { fieldManager: 'test' }), refused);
    await assert.rejects(controller.delete(kinds.Secrets, 'tls', 'edge'), refused);
    const role = await admin.get<KubeObject>(kinds.Roles, 'osm-controller-gateway', 'edge');
    const owners = (await stored())?.metadata.ownerReferences?.map(({ kind, uid }) => [kind, uid]);
    assert.deepEqual(owners, [['Role', role?.metadata.uid]], 'it goes with the Role');
  });

  it('lets the operator grant it there alone', async () => {
    const [own = assert.fail()] = clients;
    await own.get(kinds.Secrets, 'other', 'edge');
    await assert.rejects(own.list(kinds.Secrets, { namespace: 'edge' }), refused);
    await assert.rejects(own.get(kinds.Secrets, 'other', 'default'), refused);
  });

  it('repairs what is edited or deleted by hand, and keeps the pair where only trust was edited', async () => {
    const first = await stored();
    await patch({ 'ca.crt': 'edited' });
    const repaired = await until('ca.crt as it was', async () => {
      const now = await stored();
      return textOf(now, 'ca.crt') === textOf(first, 'ca.crt') ? now : undefined;
    });
    assert.equal(textOf(repaired, 'tls.crt'), textOf(first, 'tls.crt'));
    await patch({ 'tls.key': 'edited' });
    const second = await changedFrom(first);
    await admin.delete(kinds.Secrets, 'tls', 'edge');
    await changedFrom(second);
    await told('True', 'Issued');
  });

  it('issues anew for other names', async () => {
    const before = await stored();
    await ask({ subjectAltNames: ['renamed.example.com'] });
    const after = await changedFrom(before);
    assert.equal(leafOf(after)?.subjectAltName, 'DNS:renamed.example.com');
    await ask();
    await changedFrom(after);
    await told('True', 'Issued');
  });

  it('is taken up by another leader as it is', async () => {
    const before = await stored();
    await running.get('osm-controller-1')?.stop();
    running.delete('osm-controller-1');
    const expiry = 'osm_ingress_gateway_certificate_expiry_timestamp_seconds';
    await until('the other one keeps it', async () => (await metric('osm-controller-2', expiry)) !== 0);
    assert.equal((await stored())?.metadata.resourceVersion, before?.metadata.resourceVersion);
    assert.equal(lines.filter((line) => line.startsWith('osm-controller-2') && /has a new cert/.test(line)).length, 0);
  });

  it('widens ca.crt before the new signer signs, and narrows it last; no version holds a pair that it does not vouch for', async () => {
    seen.length = 0;
    const former = (await authority('osm-ca-bundle')).rootsPem;
    const provider = { tresor: { ca: { secretRef: { name: 'next-root', namespace } } } };
    const root = (role: string): KubeObject => ({
      apiVersion: 'config.openservicemesh.io/v1alpha2',
      kind: 'MeshRootCertificate',
      metadata: { name: 'next', namespace },
      spec: { role, trustDomain: 'cluster.local', provider },
    });
    await applyAll(admin, [root('active')]);
    await until('one root again', async () => {
      const last = seen.at(-1);
      return last !== undefined && !signedBy(last, former) && readCertificates(textOf(last, 'ca.crt')).length === 1;
    });
    const next = (await authority('next-root')).rootsPem;
    const steps = seen.map((version) => {
      const roots = readCertificates(textOf(version, 'ca.crt')).map(String);
      const signer = [former, next].find((pem) => signedBy(version, pem)) ?? assert.fail('signed by a stranger');
      assert.ok(roots.includes(signer), 'each version vouches for its own pair');
      const named = (pem: string): string => (pem === former ? 'former' : 'next');
      return `${named(signer)} signs, trusted: ${roots.map(named).toSorted().join(' ')}`;
    });
    assert.deepEqual(steps, [
      'former signs, trusted: former next',
      'next signs, trusted: former next',
      'next signs, trusted: next',
    ]);
  });

  it('renews a short one before it ends, and each is valid when the next one comes', async () => {
    await ask({ validityDuration: '1m' });
    const first = await until('a short one', async () => {
      const now = await stored();
      const [leaf] = readCertificates(textOf(now, 'tls.crt'));
      return leaf !== undefined && leaf.validToDate.getTime() < Date.now() + 61_000 ? now : undefined;
    });
    const second = await until(
      'its renewal',
      async () => {
        const now = await stored();
        return leafOf(now)?.serialNumber !== leafOf(first)?.serialNumber ? now : undefined;
      },
      40_000,
    );
    assert.ok(Date.now() < (leafOf(first)?.validToDate.getTime() ?? 0));
    assert.ok((leafOf(second)?.validToDate.getTime() ?? 0) > (leafOf(first)?.validToDate.getTime() ?? 0));
    await ask();
  });

  it('leaves a Secret of somebody else alone, says so, and takes its place when it is deleted', async () => {
    await applyAll(admin, [
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'theirs', namespace: 'edge' },
        data: { 'tls.crt': 'bWluZQ==' },
      },
    ]);
    const before = await stored('theirs');
    const role = (): Promise<KubeObject | undefined> => admin.get(kinds.Roles, 'osm-controller-gateway', 'edge');
    const former = await role();
    await ask({ secret: { name: 'theirs', namespace: 'edge' } });
    const { message } = await told('False', 'SecretNotOurs');
    assert.match(
      message,
      /^gateway-secret-not-ours: Secret edge\/theirs was not made by this mesh .*: delete it, or name/,
    );
    assert.equal((await stored('theirs'))?.metadata.resourceVersion, before?.metadata.resourceVersion);
    assert.notEqual(
      (await role())?.metadata.uid,
      former?.metadata.uid,
      'the Secret that was left has no owner any more',
    );
    await admin.delete(kinds.Secrets, 'theirs', 'edge');
    await told('True', 'Issued');
    assert.equal(leafOf(await stored('theirs'))?.subjectAltName, names.map((name) => `DNS:${name}`).join(', '));
  });

  it('stops when it is asked for no more: the leave to write is taken back, and nothing is said', async () => {
    const from = lines.length;
    await applyAll(admin, [meshConfig()]);
    await until('no condition', async () => (await condition()) === undefined);
    await until('no Role', async () => {
      const role = await admin.get(kinds.Roles, 'osm-controller-gateway', 'edge');
      const binding = await admin.get(kinds.RoleBindings, 'osm-controller-gateway', 'edge');
      return role === undefined && binding === undefined;
    });
    const [own = assert.fail()] = clients;
    await until('the operator holds nothing there', () =>
      own.get(kinds.Secrets, 'other', 'edge').then(() => false, refused),
    );
    await admin.request('DELETE', path);
    await until('the built-in authority signs again', async () =>
      lines
        .slice(from)
        .some((line) => line.startsWith('osm-controller-2') && /The built-in authority signs/.test(line)),
    );
    assert.deepEqual(
      lines.slice(from).filter((line) => /"level":[456]0.*gateway/.test(line)),
      [],
      'the rotation finds nothing amiss',
    );
  });

  it('tells of no trouble that passes by itself', () => {
    const keys = lines.flatMap((line) => /"level":50.*"key":"(gateway-[^"]+)"/.exec(line)?.[1] ?? []);
    assert.deepEqual([...new Set(keys)].toSorted(), ['gateway-namespace-missing', 'gateway-secret-not-ours']);
  });

  it('logs no key', () => {
    assert.ok(secrets.size > 10);
    const log = lines.join('\n');
    for (const line of secrets) assert.ok(!log.includes(line));
  });
});
