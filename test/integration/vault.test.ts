/** The Vault provider over HTTP, against a stand-in that enforces roles, key types, lives, names and tokens (test/support/vault.ts). */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { CertificateError, type CertificateReason } from '#certificates/error.ts';
import { ecdsa, type KeyType } from '#certificates/keys.ts';
import { issueServing } from '#certificates/leaf.ts';
import { readCertificates } from '#certificates/pem.ts';
import { discoverRoots, type Provider, type VaultSpec } from '#certificates/providers/provider.ts';
import { createVaultHttp } from '#certificates/providers/vault-http.ts';
import { createVaultLogin } from '#certificates/providers/vault-login.ts';
import { createVaultProvider } from '#certificates/providers/vault.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import { meshRole, role, startVault, type VaultStandIn } from '#test/support/vault.ts';
import { intermediateOf } from '#test/support/authorities.ts';

const account = { namespace: 'bookstore', name: 'bookbuyer' };
const wanted = { trustDomain: 'cluster.local', lifetimeMs: 3_600_000, keyType: ecdsa };
const mount = 'teams/mesh/pki';

describe('the Vault provider', () => {
  let vault: VaultStandIn;
  let root: CertificateAuthority;
  let authority: CertificateAuthority;
  let token: string;
  let clock: number;
  const providers: Provider[] = [];

  before(async () => {
    root = await createAuthority({ now: Date.now(), commonName: 'root' });
    authority = await intermediateOf(root, 'intermediate');
  });
  beforeEach(async () => {
    vault = await startVault();
    clock = Date.now();
    vault.mounts.set(mount, { authority, roles: new Map([['mesh', meshRole()]]) });
    token = vault.makeToken({ paths: [`${mount}/sign/mesh`] });
  });
  afterEach(async () => {
    for (const provider of providers.splice(0)) provider.close();
    await vault.stop();
  });

  function provider(
    options: Partial<VaultSpec> & { caPem?: string; rsaBits?: number; jwt?: () => string } = {},
  ): Provider {
    const { caPem, rsaBits = 2048, jwt = () => '', ...changes } = options;
    const spec: VaultSpec = {
      kind: 'vault',
      address: vault.address,
      mount,
      role: 'mesh',
      vaultNamespace: undefined,
      login: { kind: 'token', secret: { name: 'vault', key: 'token' } },
      ca: undefined,
      ...changes,
    };
    const http = createVaultHttp({
      address: spec.address,
      vaultNamespace: spec.vaultNamespace,
      caPem,
      timeoutMs: 2_000,
    });
    const login = createVaultLogin({
      http,
      login: spec.login,
      readSecret: () => Promise.resolve(new SecretBytes(`${token}\n`)),
      readServiceAccountToken: () => Promise.resolve(new SecretBytes(jwt())),
      now: () => clock,
    });
    const made = createVaultProvider({ spec, http, login, rsaBits: () => rsaBits, now: Date.now });
    providers.push(made);
    return made;
  }

  const setRole = (changes: Parameters<typeof meshRole>[0]): void => {
    vault.mounts.get(mount)?.roles.set('mesh', meshRole(changes));
  };
  const refused = (issuing: Promise<unknown>, reason: CertificateReason, words: RegExp): Promise<void> =>
    assert.rejects(issuing, (error) => {
      assert.ok(error instanceof CertificateError, String(error));
      assert.equal(error.reason, reason, error.message);
      assert.match(error.message, words);
      assert.ok(!error.message.includes(token), 'no token in an error');
      return true;
    });
  const signs = (): string[] => vault.requests.filter((line) => line.includes('/sign/'));

  it('has a request signed at any mount: the key is made here, and the root is the top of the chain', async () => {
    const { certificate, rootPem } = await provider().issue(account, wanted);
    const leaf = new X509Certificate(certificate.chainPem);
    assert.match(leaf.subjectAltName ?? '', /URI:spiffe:\/\/cluster\.local\/ns\/bookstore\/sa\/bookbuyer/);
    assert.match(leaf.subjectAltName ?? '', /DNS:bookbuyer\.bookstore\.cluster\.local/);
    assert.ok(leaf.checkPrivateKey(createPrivateKey(certificate.privateKey.revealText())));
    assert.equal(leaf.publicKey.asymmetricKeyType, 'ec');
    assert.equal(rootPem, root.rootsPem);
    assert.equal(readCertificates(certificate.chainPem).length, 2, 'the leaf and the intermediate');
    assert.ok(!JSON.stringify(vault.seen).includes('PRIVATE KEY'), 'no key ever left');
    assert.deepEqual(signs(), [`POST ${mount}/sign/mesh 200`]);
  });

  for (const seconds of [60, 90, 3_600, 86_400]) {
    it(`asks for a life of ${seconds} seconds, and gets it`, async () => {
      const { certificate } = await provider().issue(account, { ...wanted, lifetimeMs: seconds * 1_000 });
      assert.equal(vault.seen.at(-1)?.body['ttl'], `${seconds}s`);
      assert.ok(Math.abs(certificate.notAfter - Date.now() - seconds * 1_000) < 3_000);
    });
  }

  it('goes by the end of the certificate that it gets, where a role cuts it', async () => {
    setRole({ max_ttl: 120 });
    const { certificate } = await provider().issue(account, wanted);
    assert.ok(Math.abs(certificate.notAfter - Date.now() - 120_000) < 3_000);
  });

  it('follows the role in the kind of key, and remembers it', async () => {
    setRole({ key_type: 'rsa', key_bits: 3072 });
    const made = provider();
    const { certificate } = await made.issue(account, wanted);
    const bits = (chain: string) => new X509Certificate(chain).publicKey.asymmetricKeyDetails?.modulusLength;
    assert.equal(bits(certificate.chainPem), 3072);
    assert.equal(signs().length, 3, 'refused for the type, then for the size');
    await made.issue(account, wanted);
    assert.equal(signs().length, 4);
    setRole({ key_type: 'ec', key_bits: 256 });
    const rsa: KeyType = { kind: 'rsa', bits: 2048 };
    const other = await provider().issue(account, { ...wanted, keyType: rsa });
    assert.equal(new X509Certificate(other.certificate.chainPem).publicKey.asymmetricKeyType, 'ec');
  });

  it('makes RSA keys of the size in the MeshConfig where a role demands no longer one', async () => {
    setRole({ key_type: 'rsa', key_bits: 2048 });
    const { certificate } = await provider({ rsaBits: 4096 }).issue(account, wanted);
    assert.equal(new X509Certificate(certificate.chainPem).publicKey.asymmetricKeyDetails?.modulusLength, 4096);
  });

  it('names what is wrong with a role, and its cure', async () => {
    const made = provider();
    const mesh = { trustDomain: 'cluster.local' };
    setRole({ allowed_uri_sans: [] });
    const uris =
      /URI Subject Alternative Names are not allowed.*vault patch teams\/mesh\/pki\/roles\/mesh allowed_uri_sans='spiffe:\/\/cluster\.local\/\*'/;
    await refused(made.issue(account, wanted), 'vault-uri-sans-not-allowed', uris);
    setRole({ allowed_uri_sans: ['spiffe://other/*'] });
    await refused(made.issue(account, wanted), 'vault-uri-sans-not-allowed', /not valid for this role/);
    setRole({ allowed_domains: ['example.com'] });
    await refused(made.issue(account, wanted), 'vault-names-not-allowed', /allowed_domains=cluster\.local/);
    setRole({ key_type: 'rsa', key_bits: 8192 });
    await refused(made.issue(account, wanted), 'vault-key-type-unsupported', /8192-bit/);
    setRole({ client_flag: false });
    await refused(provider().issue(account, { ...wanted, ...mesh }), 'provider-certificate-unusable', /client auth/);
    vault.mounts.get(mount)?.roles.clear();
    await refused(made.issue(account, wanted), 'provider-not-found', /unknown role: mesh/);
    vault.mounts.clear();
    await refused(made.issue(account, wanted), 'provider-not-found', /no handler for route/);
  });

  it('signs for DNS names alone where the role allows them, and says how to allow them beside the mesh’s own', async () => {
    const names = ['gateway.example.com', 'other.example.com'] as const;
    await refused(
      provider().issueNamed(names, wanted),
      'vault-names-not-allowed',
      /allowed_domains=cluster\.local,gateway\.example\.com,other\.example\.com allow_bare_domains=true allow_subdomains=true/,
    );
    setRole({ allowed_domains: ['cluster.local', 'example.com'], allowed_uri_sans: [] });
    const { certificate, rootPem } = await provider().issueNamed(names, wanted);
    const leaf = new X509Certificate(certificate.chainPem);
    assert.equal(leaf.subjectAltName, 'DNS:gateway.example.com, DNS:other.example.com');
    assert.equal(rootPem, root.rootsPem);
  });

  it('leaves out a common name that is longer than 64, which a role must allow', async () => {
    const long = { namespace: 'n'.repeat(40), name: 'a'.repeat(40) };
    const { certificate } = await provider().issue(long, wanted);
    assert.equal(new X509Certificate(certificate.chainPem).subject ?? '', '');
    setRole({ require_cn: true });
    await provider().issue(account, wanted);
    await refused(provider().issue(long, wanted), 'vault-common-name-required', /require_cn=false/);
  });

  it('serves a role that takes no names from the request', async () => {
    setRole({ use_csr_sans: false, use_csr_common_name: false, require_cn: true });
    const { certificate } = await provider().issue(account, wanted);
    assert.match(new X509Certificate(certificate.chainPem).subjectAltName ?? '', /URI:spiffe:/);
  });

  it('works with a role that OSM 1.2 users have, once URIs are allowed', async () => {
    vault.mounts.get(mount)?.roles.set('mesh', role({ allow_any_name: true, allow_subdomains: true }));
    await refused(provider().issue(account, wanted), 'vault-uri-sans-not-allowed', /allowed_uri_sans/);
    vault.mounts
      .get(mount)
      ?.roles.set('mesh', role({ allow_any_name: true, allow_subdomains: true, allowed_uri_sans: ['spiffe://*'] }));
    const { certificate } = await provider().issue(account, wanted);
    assert.equal(new X509Certificate(certificate.chainPem).publicKey.asymmetricKeyType, 'rsa');
  });

  it('takes up another token from the Secret when the old one is refused', async () => {
    const made = provider();
    await made.issue(account, wanted);
    vault.revoke(token);
    await refused(
      made.issue(account, wanted),
      'provider-denied',
      /permission denied.*update on teams\/mesh\/pki\/sign\/mesh/,
    );
    token = vault.makeToken({ paths: [`${mount}/sign/mesh`] });
    await made.issue(account, wanted);
  });

  it('renews a renewable token at half its life', async () => {
    token = vault.makeToken({
      paths: [`${mount}/sign/mesh`],
      expiresAt: Date.now() + 600_000,
      renewable: true,
      period: 600,
    });
    const made = provider();
    const renewals = (): number => vault.requests.filter((line) => line.includes('renew-self 200')).length;
    await made.issue(account, wanted);
    assert.equal(renewals(), 1);
    clock += 200_000;
    await made.issue(account, wanted);
    assert.equal(renewals(), 1);
    clock += 200_000;
    await made.issue(account, wanted);
    assert.equal(renewals(), 2);
  });

  it('logs in with its service-account token, once for all, and again before the end', async () => {
    let jwt = 'jwt-1';
    vault.kubernetes.set('clusters/one/osm', {
      accepts: (shown) => shown === jwt,
      paths: [`${mount}/sign/mesh`],
      ttl: 600,
    });
    const made = provider({ login: { kind: 'kubernetes', mount: 'clusters/one', role: 'osm' }, jwt: () => jwt });
    const logins = (): number => vault.requests.filter((line) => line.includes('/login 200')).length;
    await Promise.all(Array.from({ length: 8 }, () => made.issue(account, wanted)));
    assert.equal(logins(), 1);
    clock += 300_000;
    await made.issue(account, wanted);
    assert.equal(logins(), 1);
    jwt = 'jwt-2'; // the kubelet has written another one
    clock += 150_000;
    await made.issue(account, wanted);
    assert.equal(logins(), 2);
  });

  it('says who refused a login', async () => {
    vault.kubernetes.set('kubernetes/osm', { accepts: () => false, paths: [], ttl: 600 });
    const login = { kind: 'kubernetes', mount: 'kubernetes', role: 'osm' } as const;
    await refused(provider({ login }).issue(account, wanted), 'vault-login-refused', /not authorized.*audience vault/);
    const unknown = { ...login, role: 'none' };
    await refused(provider({ login: unknown }).issue(account, wanted), 'vault-login-refused', /invalid role name/);
  });

  it('says that Vault is away, sealed or slow, and works again when it is back', async () => {
    const made = provider();
    vault.sealed = true;
    await refused(made.issue(account, wanted), 'provider-unreachable', /503.*Vault is sealed/);
    vault.sealed = false;
    await made.issue(account, wanted);
    const { port } = vault;
    await vault.stop();
    await refused(made.issue(account, wanted), 'provider-unreachable', /cannot be reached: .*(ECONNREFUSED|closed)/);
    vault = await startVault({ port });
    vault.mounts.set(mount, { authority, roles: new Map([['mesh', meshRole()]]) });
    token = vault.makeToken({ paths: [`${mount}/sign/mesh`] });
    await made.issue(account, wanted);
  });

  it('names the namespace of Vault Enterprise, where there is one', async () => {
    vault.namespace = 'team-a';
    await refused(provider().issue(account, wanted), 'provider-denied', /permission denied/);
    await provider({ vaultNamespace: 'team-a' }).issue(account, wanted);
  });

  it('follows a standby to the active node', async () => {
    const standby = await startVault();
    try {
      standby.standbyOf = vault.address;
      await provider({ address: standby.address }).issue(account, wanted);
      assert.deepEqual(signs(), [`POST ${mount}/sign/mesh 200`]);
    } finally {
      await standby.stop();
    }
  });

  it('tells its roots without a certificate where the mount shows them, and by a throw-away one where not', async () => {
    assert.equal(await discoverRoots(provider(), account, wanted), root.rootsPem);
    assert.deepEqual(signs(), []);
    vault.mounts.set(mount, { authority, roles: new Map([['mesh', meshRole()]]), chainHidden: true });
    assert.equal(await discoverRoots(provider(), account, wanted), root.rootsPem);
    assert.equal(signs().length, 1);
  });

  it('says when the mount holds an intermediate without its root', async () => {
    const [certificatePem = ''] = authority.certificatePem.split(/(?<=END CERTIFICATE-----\n)/);
    vault.mounts.set(mount, { authority: { ...authority, certificatePem }, roles: new Map([['mesh', meshRole()]]) });
    const made = provider();
    assert.equal(await made.publishedRoots(), undefined);
    const cure = /CN=root.*import the root into the mount/;
    await refused(discoverRoots(made, account, wanted), 'provider-root-unknown', cure);
  });

  describe('over TLS', () => {
    let serving: CertificateAuthority;
    beforeEach(async () => {
      serving = await createAuthority({ now: Date.now(), commonName: 'vault' });
      const { chainPem, privateKey } = await issueServing(serving, ['localhost'], {
        now: Date.now(),
        lifetimeMs: 3_600_000,
      });
      const { mounts } = vault;
      await vault.stop();
      vault = await startVault({ tls: { cert: chainPem, key: privateKey.revealText() } });
      for (const [path, of] of mounts) vault.mounts.set(path, of);
    });
    const address = (): string => `https://localhost:${vault.port}`;

    it('trusts the roots that it is given, and no others', async () => {
      token = vault.makeToken({ paths: [`${mount}/sign/mesh`] });
      await provider({ address: address(), caPem: serving.rootsPem }).issue(account, wanted);
      await refused(
        provider({ address: address() }).issue(account, wanted),
        'provider-unreachable',
        /self-signed|unable to/,
      );
      const stranger = await createAuthority({ now: Date.now() });
      const other = provider({ address: address(), caPem: stranger.rootsPem });
      await refused(other.issue(account, wanted), 'provider-unreachable', /certificate/);
      assert.equal(signs().length, 1, 'a token is shown to nobody whose certificate is not trusted');
    });

    it('has Vault make the key only for a token that may do nothing else', async () => {
      token = vault.makeToken({ paths: [`${mount}/issue/mesh`] });
      const made = provider({ address: address(), caPem: serving.rootsPem });
      const { certificate } = await made.issue(account, wanted);
      const leaf = new X509Certificate(certificate.chainPem);
      assert.ok(leaf.checkPrivateKey(createPrivateKey(certificate.privateKey.revealText())));
      const tried = signs().length;
      await made.issue(account, wanted);
      assert.equal(signs().length, tried, 'it is asked to sign no more');
    });
  });

  it('lets no key travel without TLS', async () => {
    token = vault.makeToken({ paths: [`${mount}/issue/mesh`] });
    await refused(provider().issue(account, wanted), 'provider-denied', /sign\/mesh/);
    assert.ok(vault.requests.every((line) => !line.includes('/issue/')));
  });
});
