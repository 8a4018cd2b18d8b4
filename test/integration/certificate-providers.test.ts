/**
 * The whole controller on a real API server with its own rights, a real Envoy and a simulated sidecar: certificates from the
 * built-in authority, then from the real cert-manager, then from Vault (test/support/vault.ts), walked through by
 * MeshRootCertificates; and what is said when a provider is down. At the end, no log holds a key or a token.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import pino from 'pino';
import { controlPlaneObjects } from '#cdk8s/control-plane.ts';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { issueServing } from '#certificates/leaf.ts';
import { readCertificates } from '#certificates/pem.ts';
import { loadOrCreateAuthority } from '#certificates/secret-store.ts';
import { type Controller, startController } from '#controller/controller.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import * as kinds from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { intermediateOf } from '#test/support/authorities.ts';
import {
  type CertManager,
  installCertManager,
  Issuers,
  issuerSecret,
  makeIssuer,
  startCertManager,
} from '#test/support/cert-manager.ts';
import { type RunningEnvoy, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
import { meshRole, startVault, type VaultStandIn } from '#test/support/vault.ts';
import { settings } from '#test/unit/cdk8s/fixtures.ts';
import { SECRET } from '#xds/cache/types.ts';
import { SPIFFECertValidatorConfigSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js';
import { SecretSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  applyAll,
  bindController,
  callApi,
  podToken,
  runPod,
  service,
  SimulatedSidecar,
  viewerToken,
} from './controller-support.ts';
import { clientAs, install, namespace } from './operator-support.ts';
import { type SidecarFiles, sidecarFiles } from './xds-support.ts';

const FAST = { deadlineMs: 30_000, everyMs: 50 };
/** As a key stands in the data of a Secret. */
const PEM_IN_BASE64 = Buffer.from('-----BEGIN PRIVATE KE').toString('base64');
const mount = 'teams/mesh/pki';
const timing = {
  ...{ missingMs: 200, foundMs: 500, spreadMs: 500, longestSpreadMs: 5_000, reconnectMs: 500, lingerMs: 1_000 },
  ...{ renewMs: 500, staleMs: 2_000 },
};

describe('certificate providers behind the whole controller', function () {
  this.timeout(240_000);
  let server: ApiServer;
  let admin: Client;
  let own: Client;
  let files: SidecarFiles;
  let vault: VaultStandIn;
  let vaultCa: CertificateAuthority;
  let manager: CertManager;
  let controller: Controller;
  let envoy: RunningEnvoy;
  let one: SimulatedSidecar;
  let tokens: string;
  const roots = new Map<string, CertificateAuthority>();
  const log: string[] = [];
  const uids = new Map<string, string>();
  const sidecars: SimulatedSidecar[] = [];
  /** What must stand in no log: lines of keys, tokens. */
  const secrets = new Set<string>();

  before(async () => {
    [server, files, tokens] = await Promise.all([
      startApiServer(),
      sidecarFiles(namespace),
      mkdtemp(join(tmpdir(), 'osm-vault-token-')),
    ]);
    admin = createClient(server.clientOptions);
    await install(admin);
    await bindController(admin, namespace);
    await installCertManager(admin);
    manager = await startCertManager(server);
    const shop = { name: 'shop', labels: { 'openservicemesh.io/monitored-by': 'osm' } };
    await applyAll(admin, [
      { apiVersion: 'v1', kind: 'Namespace', metadata: shop },
      {
        apiVersion: 'config.openservicemesh.io/v1alpha2',
        kind: 'MeshConfig',
        metadata: { name: 'osm-mesh-config', namespace },
        spec: { observability: { osmLogLevel: 'trace' } },
      },
      // The Role that the operator makes for the Secrets that the MeshRootCertificates below name.
      ...controlPlaneObjects(settings({ providerSecrets: ['vault-ca', 'vault-token'] })).filter(
        ({ metadata }) => metadata.name === 'osm-controller-providers',
      ),
    ]);
    // There is no injector here, and this test makes injected pods by hand.
    await admin.delete(kinds.ValidatingAdmissionPolicyBindings, 'osm-sidecar-guard');

    for (const name of ['cert-manager', 'vault']) {
      const root = await createAuthority({ now: Date.now(), commonName: `${name} root` });
      roots.set(name, await intermediateOf(root, `${name} intermediate`));
    }
    const { authority } = await loadOrCreateAuthority(admin, { namespace, name: 'osm-ca-bundle' }, { now: Date.now() });
    roots.set('built-in', authority);
    for (const each of roots.values()) hide(each.privateKey.revealText());

    await applyAll(admin, [issuerSecret('issuer-ca', namespace, of('cert-manager'))]);
    const spec = { ca: { secretName: 'issuer-ca' } };
    await makeIssuer(admin, manager, { kind: Issuers, name: 'mesh', namespace, spec });

    vaultCa = await createAuthority({ now: Date.now(), commonName: 'vault serving' });
    vault = await startTlsVault();
    await secret('vault-ca', { 'ca.crt': vaultCa.rootsPem });
    await writeVaultToken();

    own = await clientAs(server, admin, 'osm-controller');
    controller = await start();
    for (const [name, ip] of [
      ['client', '10.0.0.2'],
      ['web', '10.0.0.1'],
      ['late', '10.0.0.3'],
    ] as const) {
      uids.set(name, await runPod(admin, 'shop', `${name}-1`, { account: name, ip }));
    }
    await applyAll(admin, service('shop', 'web', { name: 'web-1', ip: '10.0.0.1' }));
    await eventually('readiness', async () => (await ready()).status === 200, {
      ...FAST,
      state: async () => (await ready()).text(),
    });
    one = await sidecar('client');
    await files.writeToken(await tokenOf('web'));
    envoy = await startEnvoy(files.sidecarBootstrap(controller.xdsPort), {
      node: `shop/web-1/${uids.get('web')}`,
      waitUntilLive: false,
    });
  });

  after(async () => {
    for (const each of sidecars) each.close();
    await envoy?.stop();
    await controller?.stop();
    await manager?.stop();
    await vault?.stop();
    own?.close();
    admin?.close();
    await server?.stop();
    await files?.remove();
    if (tokens !== undefined) await rm(tokens, { recursive: true });
  });

  const of = (name: string): CertificateAuthority => roots.get(name) ?? assert.fail(name);
  const ready = (): Promise<Response> => fetch(`http://127.0.0.1:${controller.healthPort}/health/ready`);

  /** Each line of a PEM key but its frame, or a token. */
  function hide(text: string): void {
    for (const line of text.split('\n')) if (line.length > 20 && !line.startsWith('-----')) secrets.add(line);
  }

  async function secret(name: string, content: Readonly<Record<string, string>>): Promise<void> {
    const data = Object.fromEntries(
      Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    );
    await applyAll(admin, [{ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data }]);
  }

  async function startTlsVault(port?: number): Promise<VaultStandIn> {
    const { chainPem, privateKey } = await issueServing(vaultCa, ['localhost'], {
      now: Date.now(),
      lifetimeMs: 3_600_000,
    });
    const started = await startVault({
      tls: { cert: chainPem, key: privateKey.revealText() },
      ...(port === undefined ? {} : { port }),
    });
    started.mounts.set(mount, { authority: of('vault'), roles: new Map([['mesh', meshRole()]]) });
    return started;
  }

  async function writeVaultToken(): Promise<void> {
    const token = vault.makeToken({ paths: [`${mount}/sign/mesh`] });
    hide(token);
    await secret('vault-token', { token });
  }

  async function start(xdsPort = 0): Promise<Controller> {
    return startController({
      client: own,
      environment: {
        namespace,
        podName: 'osm-controller-1',
        meshName: 'osm',
        logLevel: 'trace',
        tlsDirectory: files.tlsDirectory,
        clusterDomain: 'cluster.local',
        vaultTokenPath: join(tokens, 'token'),
      },
      log: pino({ level: 'trace' }, { write: (line: string) => void log.push(line) }),
      version: 'test',
      host: '127.0.0.1',
      xdsPort,
      apiPort: 0,
      healthPort: 0,
      drainMs: 50,
      certificateTiming: timing,
    });
  }

  async function tokenOf(name: string): Promise<string> {
    const token = await podToken(admin, 'shop', { name: `${name}-1`, uid: uids.get(name) ?? '', account: name });
    hide(token);
    return token;
  }

  async function sidecar(name: string): Promise<SimulatedSidecar> {
    const made = new SimulatedSidecar({
      port: controller.xdsPort,
      rootsPem: files.authority.rootsPem,
      token: await tokenOf(name),
      node: `shop/${name}-1/${uids.get(name)}`,
    });
    sidecars.push(made);
    return made;
  }

  async function root(name: string, role: string, provider?: object): Promise<void> {
    const metadata = { name, namespace };
    const path = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${namespace}/meshrootcertificates/${name}`;
    if (provider === undefined) {
      const type = { 'content-type': 'application/merge-patch+json' };
      await admin.request('PATCH', path, { spec: { role } }, type);
      return;
    }
    const apiVersion = 'config.openservicemesh.io/v1alpha2';
    await applyAll(admin, [{ apiVersion, kind: 'MeshRootCertificate', metadata, spec: { role, provider } }]);
  }

  function secretOf(each: SimulatedSidecar, name: string) {
    const bytes = each.held.get(SECRET)?.get(name)?.bytes;
    return bytes === undefined ? undefined : fromBinary(SecretSchema, bytes).type;
  }

  /** The chain that a sidecar holds; its key is remembered among what must not be told. */
  function chainOf(each: SimulatedSidecar): string {
    const type = secretOf(each, 'workload');
    if (type?.case !== 'tlsCertificate') return '';
    const { certificateChain, privateKey } = type.value;
    hide(String(privateKey?.specifier.value));
    return String(certificateChain?.specifier.value);
  }

  const signedBy = (chainPem: string, authority: string): boolean =>
    chainPem !== '' &&
    new X509Certificate(chainPem).verify(new X509Certificate(of(authority).certificatePem).publicKey);

  function trusted(each: SimulatedSidecar): string[] {
    const type = secretOf(each, 'roots');
    const config = type?.case === 'validationContext' ? type.value.customValidatorConfig?.typedConfig : undefined;
    const { trustDomains } = fromBinary(SPIFFECertValidatorConfigSchema, config?.value ?? new Uint8Array());
    return trustDomains
      .flatMap(({ name, trustBundle }) =>
        readCertificates(String(trustBundle?.specifier.value)).map((certificate) => {
          const [known = certificate.subject] =
            [...roots].find(([, { rootsPem }]) => rootsPem === certificate.toString()) ?? [];
          return `${name}: ${known}`;
        }),
      )
      .toSorted();
  }

  const trusts = (...names: string[]): Promise<unknown> =>
    eventually(
      `trust in ${names.join(' and ')}`,
      async () =>
        trusted(one).join() ===
        names
          .map((name) => `cluster.local: ${name}`)
          .toSorted()
          .join(),
      { ...FAST, state: async () => `${trusted(one).join()}\n${log.slice(-10).join('')}` },
    );
  const signs = (name: string, each = one): Promise<unknown> =>
    eventually(`a certificate by ${name}`, async () => signedBy(chainOf(each), name), {
      ...FAST,
      state: async () => `${trusted(each).join()}\n${log.slice(-10).join('')}\n${manager.log().slice(-1_000)}`,
    });
  const kindsSince = (from: number): string[] =>
    [...new Set(one.received.slice(from).map((line) => line.split(' ')[0] ?? ''))].toSorted();

  async function envoyHolds(name: string): Promise<void> {
    await eventually(
      `Envoy's certificate by ${name}`,
      async () => {
        const dump = await envoy.admin('/config_dump?resource=dynamic_active_secrets');
        const chain = /"certificate_chain": \{\s*"inline_(?:string|bytes)": "([^"]+)"/.exec(dump)?.[1] ?? '';
        const pem = chain.startsWith('LS0t') ? Buffer.from(chain, 'base64').toString() : chain.replaceAll('\\n', '\n');
        return signedBy(pem, name);
      },
      { ...FAST, state: async () => envoy.log().slice(-2_000) },
    );
  }

  const certManager = { certManager: { issuerName: 'mesh' } };
  const vaultBy = (login: object): object => ({
    vault: {
      protocol: 'https',
      host: 'localhost',
      port: vault.port,
      role: 'mesh',
      mount,
      caSecretRef: { name: 'vault-ca' },
      ...login,
    },
  });
  const withToken = { token: { secretKeyRef: { name: 'vault-token', key: 'token', namespace } } };

  it('begins with the built-in authority', async () => {
    await signs('built-in');
    await trusts('built-in');
    await envoyHolds('built-in');
  });

  it('trusts a passive cert-manager beside it: one secret changes, no certificate and no cluster', async () => {
    const from = one.received.length;
    await root('from-cert-manager', 'passive', certManager);
    await trusts('built-in', 'cert-manager');
    assert.ok(signedBy(chainOf(one), 'built-in'));
    assert.deepEqual(one.received.slice(from), ['Secret roots']);
    const object = await admin.get<KubeObject>(kinds.MeshRootCertificates, 'from-cert-manager', namespace);
    assert.equal((object?.status as { roots?: string })?.roots, of('cert-manager').rootsPem);
  });

  it('goes over to cert-manager, and then trusts it alone: two secrets change and nothing else', async () => {
    const from = one.received.length;
    await root('from-cert-manager', 'active');
    await signs('cert-manager');
    assert.equal(readCertificates(chainOf(one)).length, 2, 'with its intermediate');
    await trusts('cert-manager');
    assert.deepEqual(kindsSince(from), ['Secret']);
    await envoyHolds('cert-manager');
    assert.deepEqual((await admin.list(kinds.CertificateRequests, { namespace })).items, []);
  });

  it('goes over to Vault with a token from a Secret, through both at once', async () => {
    await root('from-vault', 'passive', vaultBy(withToken));
    await trusts('cert-manager', 'vault');
    await root('from-vault', 'active'); // two active: the older one signs
    await root('from-cert-manager', 'passive');
    await signs('vault');
    await trusts('cert-manager', 'vault');
    await root('from-cert-manager', 'inactive');
    await trusts('vault');
    await envoyHolds('vault');
  });

  it('logs in to Vault with its own service-account token, which the API server vouches for', async () => {
    const serviceAccount = `/api/v1/namespaces/${namespace}/serviceaccounts/osm-controller/token`;
    const spec = { audiences: ['vault'], expirationSeconds: 3600 };
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    const answer = await admin.request<{ status: { token: string } }>('POST', serviceAccount, request);
    const jwt = answer.status.token;
    hide(jwt);
    await writeFile(join(tokens, 'token'), `${jwt}\n`);
    const review = await admin.request<{ status: { user?: { username?: string } } }>(
      'POST',
      '/apis/authentication.k8s.io/v1/tokenreviews',
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: jwt, audiences: ['vault'] } },
    );
    const reviewed = review.status.user?.username === `system:serviceaccount:${namespace}:osm-controller`;
    vault.kubernetes.set('kubernetes/osm', {
      accepts: (shown) => reviewed && shown === jwt,
      paths: [`${mount}/sign/mesh`],
      ttl: 3600,
    });
    const before = chainOf(one);
    await root('from-vault', 'active', vaultBy({ kubernetesAuth: { role: 'osm' } }));
    await eventually('a certificate by the new login', async () => chainOf(one) !== before, FAST);
    await signs('vault');
    assert.ok(vault.requests.includes('POST auth/kubernetes/login 200'), vault.requests.join('\n'));
  });

  it('says that a provider is down in Event, metric and log, while what is there goes on; and issues when it is back', async () => {
    const { port } = vault;
    await vault.stop();
    const held = chainOf(one);
    const late = await sidecar('late');
    const event = await eventually(
      'the Event',
      async () => {
        const { items } = await admin.list<KubeObject & Record<string, unknown>>(kinds.Events, { namespace });
        return items.find(({ reason }) => reason === 'CertificatesNotIssued');
      },
      FAST,
    );
    const { kind, name } = event['regarding'] as { kind: string; name: string };
    assert.deepEqual([kind, name, event['type']], ['MeshRootCertificate', 'from-vault', 'Warning']);
    assert.match(String(event['note']), /^provider-unreachable: Vault \(MeshRootCertificate from-vault\) issues no/);
    const issued = async (): Promise<string | undefined> => {
      const config = await admin.get<KubeObject>(kinds.MeshConfigs, 'osm-mesh-config', namespace);
      const { conditions = [] } = (config?.status ?? {}) as { conditions?: { type: string; status: string }[] };
      return conditions.find(({ type }) => type === 'WorkloadCertificatesIssued')?.status;
    };
    await eventually('the condition', async () => (await issued()) === 'False', {
      ...FAST,
      state: async () => String(await issued()),
    });
    const metrics = await (await fetch(`http://127.0.0.1:${controller.healthPort}/metrics`)).text();
    assert.match(
      metrics,
      /osm_certificate_provider_failures_total\{provider="vault",key="provider-unreachable"\} [1-9]/,
    );
    assert.match(metrics, /^osm_certificate_accounts_failing 1$/m);
    const expiry = Number(/^osm_certificate_earliest_expiry_timestamp_seconds (\S+)$/m.exec(metrics)?.[1]);
    assert.equal(expiry, Math.floor(new X509Certificate(held).validToDate.getTime() / 1000));
    assert.equal(chainOf(one), held);
    assert.equal((await ready()).status, 200);
    await eventually('all but the certificate', async () => late.names(SECRET).join() === 'roots', FAST);

    const { xdsPort } = controller;
    await controller.stop();
    controller = await start(xdsPort);
    await eventually('readiness without the provider', async () => (await ready()).status === 200, {
      ...FAST,
      state: async () => (await ready()).text(),
    });
    const again = await sidecar('client');
    await eventually('configuration without the provider', async () => again.names(SECRET).join() === 'roots', FAST);
    assert.deepEqual(trusted(again), ['cluster.local: vault'], 'roots that were found before');

    await applyAll(admin, service('shop', 'extra', { name: 'web-1', ip: '10.0.0.1' }));
    await eventually(
      'a change in an Envoy that holds its certificate from before',
      async () => (await envoy.admin('/clusters')).includes('shop/extra'),
      { ...FAST, state: async () => `${envoy.log().slice(-1_000)}\n${await envoy.admin('/clusters')}` },
    );
    await envoyHolds('vault');

    vault = await startTlsVault(port);
    const paths = [`${mount}/sign/mesh`];
    vault.kubernetes.set('kubernetes/osm', { accepts: () => true, paths, ttl: 3600 });
    await signs('vault', again);
    one = again;
  });

  it('goes back to the built-in authority when the MeshRootCertificates are gone', async () => {
    for (const name of ['from-vault', 'from-cert-manager']) {
      await admin.delete(kinds.MeshRootCertificates, name, namespace);
    }
    await signs('built-in');
    await trusts('built-in');
  });

  it('has told no key and no token to anybody', async () => {
    const web = await sidecar('web');
    await eventually('the certificate of web, which Envoy holds too', async () => chainOf(web) !== '', FAST);
    assert.ok(secrets.size > 20, `${secrets.size} lines to look for`);
    const viewer = await viewerToken(admin, namespace);
    const api = async (path: string): Promise<string> => {
      const { status, body } = await callApi(controller.apiPort, path, viewer);
      assert.equal(status, 200, `${path}: ${body}`);
      return body;
    };
    const metrics = await (await fetch(`http://127.0.0.1:${controller.healthPort}/metrics`)).text();
    const told: Readonly<Record<string, string>> = {
      'the controller’s log': log.join(''),
      'cert-manager’s log': manager.log(),
      'Envoy’s log': envoy.log() + envoy.output(),
      'Envoy’s configuration': await envoy.admin('/config_dump?include_eds'),
      'Envoy’s statistics': await envoy.admin('/stats'),
      'the API’s dump of a sidecar': await api('/debug/config/shop/web-1'),
      'the API’s sidecars': await api('/api/proxies'),
      'the API’s problems': await api('/api/problems'),
      metrics,
      Events: JSON.stringify(await admin.list(kinds.Events, { namespace })),
      MeshRootCertificates: JSON.stringify(await admin.list(kinds.MeshRootCertificates, { namespace })),
    };
    for (const [where, text] of Object.entries(told)) {
      assert.ok(!text.includes('PRIVATE KEY'), where);
      assert.ok(!text.includes(PEM_IN_BASE64), where);
      for (const line of secrets) assert.ok(!text.includes(line), `${where} holds ${line.slice(0, 6)}…`);
    }
    // Both show that there is a key, and not which.
    assert.match(told['Envoy’s configuration'] ?? '', /"private_key"/);
    assert.match(
      told['the API’s dump of a sidecar'] ?? '',
      /"name":"workload","version":"[0-9a-f]+","resource":"\[redacted\]"/,
    );
    assert.ok(
      log.some((line) => line.includes('provider-unreachable')),
      'the log is the one of this run',
    );
  });
});
