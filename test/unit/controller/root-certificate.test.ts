/** From a MeshRootCertificate to what a choice is made from. */
import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import { rootCertificate } from '#controller/parse/root-certificate.ts';

const namespace = 'osm-system';

function parsed(provider: object, more: object = {}, roots?: unknown) {
  const object = {
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshRootCertificate',
    metadata: { name: 'root', namespace, uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { provider, ...more },
    status: { roots },
  };
  return rootCertificate(object, namespace);
}

const token = { secretKeyRef: { name: 'vault-token', key: 'token', namespace } };
const vault = { host: 'vault.example', port: 8200, role: 'mesh' };

describe('controller/parse/root-certificate', () => {
  it('reads what OSM 1.2 wrote, with its defaults', () => {
    const { provider, ...rest } = parsed(
      { vault: { protocol: 'http', ...vault, token } },
      { trustDomain: 'a.example' },
    );
    assert.deepEqual(provider, {
      kind: 'vault',
      address: 'http://vault.example:8200',
      mount: 'pki',
      role: 'mesh',
      vaultNamespace: undefined,
      login: { kind: 'token', secret: { name: 'vault-token', key: 'token' } },
      ca: undefined,
    });
    assert.deepEqual(rest, {
      name: 'root',
      uid: 'u',
      createdAt: '2026-01-01T00:00:00Z',
      knownRoots: '',
      role: 'active',
      trustDomain: 'a.example',
    });
    assert.deepEqual(parsed({ certManager: { issuerName: 'osm-ca' } }).provider, {
      kind: 'cert-manager',
      namespace,
      issuer: { name: 'osm-ca', kind: 'Issuer', group: 'cert-manager.io' },
    });
    assert.deepEqual(parsed({ tresor: { ca: { secretRef: { name: 'own', namespace } } } }).provider, {
      kind: 'builtin',
      secret: { namespace, name: 'own' },
    });
  });

  it('reads what is new: another mount, a login of its own, TLS, an address of IPv6', () => {
    const provider = parsed({
      vault: {
        ...vault,
        protocol: 'https',
        host: 'fd00::1',
        mount: 'teams/mesh',
        kubernetesAuth: { role: 'osm' },
        caSecretRef: { name: 'vault-ca' },
        vaultNamespace: 'team',
      },
    }).provider;
    assert.deepEqual(provider, {
      kind: 'vault',
      address: 'https://[fd00::1]:8200',
      mount: 'teams/mesh',
      role: 'mesh',
      vaultNamespace: 'team',
      login: { kind: 'kubernetes', mount: 'kubernetes', role: 'osm' },
      ca: { name: 'vault-ca', key: 'ca.crt' },
    });
  });

  it('knows the roots in its status, and ignores what is none', async () => {
    const certManager = { issuerName: 'a' };
    const { rootsPem } = await createAuthority({ now: Date.now() });
    assert.equal(parsed({ certManager }, {}, rootsPem).knownRoots, rootsPem);
    const broken = '-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n';
    for (const roots of [undefined, 'PEM', rootsPem + broken, 7]) {
      assert.equal(parsed({ certManager }, {}, roots).knownRoots, '');
    }
  });

  it('cannot use a Secret of another namespace, and says where to put it', () => {
    const elsewhere = { secretKeyRef: { ...token.secretKeyRef, namespace: 'vault' } };
    for (const provider of [
      { vault: { ...vault, token: elsewhere } },
      { tresor: { ca: { secretRef: { name: 'own', namespace: 'vault' } } } },
    ]) {
      const { unusable } = parsed(provider);
      assert.equal(unusable?.key, 'secret-in-other-namespace');
      assert.match(unusable?.message ?? '', /Secret vault\/(vault-token|own).*copy it to osm-system/);
    }
  });

  it('cannot use what the schema refuses, in whatever role it is', () => {
    const both = { ...vault, token, kubernetesAuth: { role: 'osm' } };
    const { unusable, role } = parsed({ vault: both }, { role: 'inactive' });
    assert.deepEqual([unusable?.key, role], ['root-certificate-invalid', 'inactive']);
    assert.match(unusable?.message ?? '', /exactly one of token and kubernetesAuth/);
    assert.match(
      parsed({ certManager: { issuerName: 'a', issuerKind: 'Other' } }).unusable?.message ?? '',
      /issuerKind/,
    );
    assert.equal(
      parsed({ certManager: { issuerName: 'a', issuerKind: 'Other', issuerGroup: 'b' } }).unusable,
      undefined,
    );
  });
});
