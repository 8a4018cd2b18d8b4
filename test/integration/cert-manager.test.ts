/** The cert-manager provider against the real cert-manager, its controllers on a real API server, with the controller's own rights. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { CertificateError, type CertificateReason } from '#certificates/error.ts';
import { ecdsa } from '#certificates/keys.ts';
import { readCertificates } from '#certificates/pem.ts';
import { createCertManagerProvider } from '#certificates/providers/cert-manager.ts';
import { discoverRoots, type Provider } from '#certificates/providers/provider.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import { CertificateRequests, Secrets } from '#kubernetes/kinds.ts';
import { pathOf } from '#kubernetes/paths.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { intermediateOf } from '#test/support/authorities.ts';
import {
  type CertManager,
  clusterIssuerNamespace,
  ClusterIssuers,
  installCertManager,
  Issuers,
  issuerSecret,
  makeIssuer,
  startCertManager,
} from '#test/support/cert-manager.ts';
import { eventually } from '#test/support/eventually.ts';
import { bindController } from './controller-support.ts';
import { clientAs, install, namespace } from './operator-support.ts';

const account = { namespace: 'bookstore', name: 'bookbuyer' };
const wanted = { trustDomain: 'cluster.local', lifetimeMs: 3_600_000, keyType: ecdsa };

describe('the cert-manager provider', function () {
  this.timeout(180_000);
  let server: ApiServer;
  let admin: Client;
  let own: Client;
  let manager: CertManager;
  let authority: CertificateAuthority;
  const leftovers: unknown[] = [];

  before(async () => {
    server = await startApiServer();
    admin = createClient(server.clientOptions);
    await install(admin);
    await bindController(admin, namespace);
    own = await clientAs(server, admin, 'osm-controller');
    await refused(provider('any').issue(account, wanted), 'provider-not-found', /install cert-manager/);
    await installCertManager(admin);
    manager = await startCertManager(server);
    const root = await createAuthority({ now: Date.now(), commonName: 'company root' });
    authority = await intermediateOf(root, 'company intermediate');
    for (const where of [namespace, clusterIssuerNamespace]) {
      await admin.apply(Secrets, issuerSecret('own-ca', where, authority), { fieldManager: 'test', force: true });
    }
    await makeIssuer(admin, manager, {
      kind: Issuers,
      name: 'osm-ca',
      namespace,
      spec: { ca: { secretName: 'own-ca' } },
    });
    await makeIssuer(admin, manager, { kind: ClusterIssuers, name: 'company', spec: { ca: { secretName: 'own-ca' } } });
  });
  after(async () => {
    await manager?.stop();
    own?.close();
    admin?.close();
    await server?.stop();
  });

  function provider(
    name: string,
    kind = 'Issuer',
    options: { group?: string; deadlineMs?: number; patienceMs?: number } = {},
  ): Provider {
    const { group = 'cert-manager.io', ...times } = options;
    return createCertManagerProvider({
      client: own,
      spec: { kind: 'cert-manager', namespace, issuer: { name, kind, group } },
      now: Date.now,
      onLeftover: (_, error) => leftovers.push(error),
      ...times,
    });
  }

  const refused = (issuing: Promise<unknown>, reason: CertificateReason, words: RegExp): Promise<void> =>
    assert.rejects(issuing, (error) => {
      assert.ok(error instanceof CertificateError, String(error));
      assert.equal(error.reason, reason, error.message);
      assert.match(error.message, words);
      return true;
    });
  const requests = async (): Promise<KubeObject[]> =>
    (await admin.list<KubeObject>(CertificateRequests, { namespace })).items;

  for (const [name, kind] of [
    ['osm-ca', 'Issuer'],
    ['company', 'ClusterIssuer'],
  ] as const) {
    it(`has ${kind} ${name} sign: for both ends of TLS, with both names, in a chain up to the root`, async () => {
      const { certificate, rootPem } = await provider(name, kind).issue(account, wanted);
      const leaf = new X509Certificate(certificate.chainPem);
      assert.deepEqual(leaf.subjectAltName?.split(', ').toSorted(), [
        'DNS:bookbuyer.bookstore.cluster.local',
        'URI:spiffe://cluster.local/ns/bookstore/sa/bookbuyer',
      ]);
      assert.deepEqual((leaf.keyUsage as readonly string[]).toSorted(), ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
      assert.ok(leaf.checkPrivateKey(createPrivateKey(certificate.privateKey.revealText())));
      assert.equal(rootPem, authority.rootsPem);
      assert.equal(readCertificates(certificate.chainPem).length, 2, 'the leaf and the intermediate');
      assert.deepEqual(await requests(), [], 'the request is deleted');
    });
  }

  it('has it sign for DNS names alone: every one of them, and no URI', async () => {
    const names = ['gateway.example.com', 'other.example.com'] as const;
    const { certificate } = await provider('osm-ca').issueNamed(names, wanted);
    const leaf = new X509Certificate(certificate.chainPem);
    assert.equal(leaf.subjectAltName, 'DNS:gateway.example.com, DNS:other.example.com');
  });

  it('asks for a life of one minute, and gets it', async () => {
    const { certificate } = await provider('osm-ca').issue(account, { ...wanted, lifetimeMs: 60_000 });
    assert.ok(Math.abs(certificate.notAfter - Date.now() - 60_000) < 5_000);
  });

  it('has RSA keys signed, and names whose common name would be too long', async () => {
    const { certificate } = await provider('osm-ca').issue(account, {
      ...wanted,
      keyType: { kind: 'rsa', bits: 3072 },
    });
    assert.equal(new X509Certificate(certificate.chainPem).publicKey.asymmetricKeyDetails?.modulusLength, 3072);
    const long = { namespace: 'n'.repeat(40), name: 'a'.repeat(40) };
    const other = await provider('osm-ca').issue(long, wanted);
    assert.match(new X509Certificate(other.certificate.chainPem).subjectAltName ?? '', /sa\/aaaa/);
  });

  it('finds the root by a throw-away certificate', async () => {
    assert.equal(await discoverRoots(provider('osm-ca'), account, wanted), authority.rootsPem);
    assert.deepEqual(await requests(), []);
  });

  it('serves many at once', async () => {
    const many = Array.from({ length: 20 }, (_, index) => ({ namespace: 'bookstore', name: `account-${index}` }));
    const issued = await Promise.all(many.map((each) => provider('osm-ca').issue(each, wanted)));
    assert.deepEqual(
      issued.map(({ certificate }) => certificate.account.name),
      many.map(({ name }) => name),
    );
    assert.deepEqual(await requests(), []);
  });

  it('gives up in time, with what cert-manager said last, and takes its request back', async () => {
    const words = /ClusterIssuer none has not signed within 2 s: .*none.* not found/;
    await refused(
      provider('none', 'ClusterIssuer', { deadlineMs: 2_000 }).issue(account, wanted),
      'provider-timeout',
      words,
    );
    const outside = provider('any', 'StepIssuer', { group: 'certmanager.step.sm', deadlineMs: 1_000 });
    await refused(outside.issue(account, wanted), 'provider-timeout', /StepIssuer any has not signed within 1 s/);
    assert.deepEqual(await requests(), []);
  });

  it('tells early what it waits for, in the words of the end, and signs all the same when the issuer appears', async () => {
    const told: CertificateError[] = [];
    const issuing = provider('late', 'Issuer', { patienceMs: 200 }).issue(account, wanted, (error) => told.push(error));
    await eventually('what it waits for', async () => told.some(({ message }) => message.includes('not found')), {
      everyMs: 20,
      state: async () => told.map(String).join('\n'),
    });
    for (const { reason, message } of told) {
      assert.equal(reason, 'provider-timeout');
      assert.match(message, /^cert-manager's Issuer late has not signed within 0\.2 s: /);
    }
    assert.equal(new Set(told.map(({ message }) => message)).size, told.length, 'nothing is told twice');
    await makeIssuer(admin, manager, {
      kind: Issuers,
      name: 'late',
      namespace,
      spec: { ca: { secretName: 'own-ca' } },
    });
    assert.equal((await issuing).rootPem, authority.rootsPem);
    assert.deepEqual(await requests(), []);
  });

  it('ends what is under way when it is used no more, and takes its requests back', async () => {
    const closing = provider('none');
    const issuing = refused(closing.issue(account, wanted), 'provider-unreachable', /Issuer none is used no more/);
    await eventually('the request', async () => (await requests())[0], { everyMs: 20 });
    closing.close();
    await issuing;
    assert.deepEqual(await requests(), []);
  });

  it('lets an issuer outside cert-manager sign', async () => {
    const issuing = provider('any', 'StepIssuer', { group: 'certmanager.step.sm' }).issue(account, wanted);
    const request = await eventually('the request', async () => (await requests())[0], { everyMs: 20 });
    assert.deepEqual((request.spec as { issuerRef: object }).issuerRef, {
      name: 'any',
      kind: 'StepIssuer',
      group: 'certmanager.step.sm',
    });
    assert.match(request.metadata.name, /^osm-/);
    // What its controller would do, with a message that no controller of cert-manager's writes.
    await setStatus(request, [
      { type: 'Ready', status: 'False', reason: 'Failed', message: 'the step CA is on holiday' },
    ]);
    await refused(issuing, 'provider-failed', /StepIssuer any did not sign: the step CA is on holiday/);
    assert.deepEqual(await requests(), []);
  });

  it('says who denied a request, and in which words', async () => {
    await manager.stop();
    manager = await startCertManager(server, { approve: false });
    const issuing = provider('osm-ca').issue(account, wanted);
    const request = await eventually('the request', async () => (await requests())[0], { everyMs: 20 });
    const message = 'policy: no meshes on Fridays';
    await setStatus(request, [{ type: 'Denied', status: 'True', reason: 'policy.example.com', message }]);
    await refused(issuing, 'provider-denied', /Issuer osm-ca did not sign: .*no meshes on Fridays/);
    assert.deepEqual(await requests(), []);
  });

  it('goes on when the API server restarts in the middle, and says when it is away at the beginning', async () => {
    const issuing = provider('osm-ca').issue(account, wanted);
    const request = await eventually('the request', async () => (await requests())[0], { everyMs: 20 });
    await server.restart();
    await eventually('the approval', async () => {
      await setStatus(request, [{ type: 'Approved', status: 'True', reason: 'test', message: 'yes' }]);
      return true;
    });
    assert.equal((await issuing).rootPem, authority.rootsPem);
    await server.kill();
    await refused(provider('osm-ca').issue(account, wanted), 'provider-unreachable', /could not be made or read/);
    await server.restart();
  });

  async function setStatus(request: KubeObject, conditions: readonly object[]): Promise<void> {
    const lastTransitionTime = new Date().toISOString();
    await admin.request(
      'PATCH',
      pathOf(CertificateRequests, { namespace, name: request.metadata.name, subresource: 'status' }),
      { status: { conditions: conditions.map((condition) => ({ ...condition, lastTransitionTime })) } },
      { 'content-type': 'application/merge-patch+json' },
    );
  }
});
