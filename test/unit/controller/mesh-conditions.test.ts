import assert from 'node:assert/strict';
import type { CertificateFacts } from '#certificates/facts.ts';
import type { GatewayFact } from '#controller/gateway-certificate.ts';
import { meshConditions, passingTypes } from '#controller/mesh-conditions.ts';
import { compile } from '#mesh/compile.ts';
import type { Problem } from '#mesh/problem.ts';
import { conditionTypes } from '#operator/plan/status.ts';
import { cluster, objects, pod, port, service } from '#test/unit/mesh/builders.ts';

const { model } = compile(objects());
const signing = { provider: 'builtin', rootCertificate: undefined, trustDomain: 'cluster.local' } as const;
const certificates: CertificateFacts = {
  signing,
  validating: [signing],
  troubles: [],
  accountsFailing: 0,
  earliestExpiry: undefined,
};

function problem(name: string, fields: Partial<Problem> = {}): Problem {
  const object = { kind: 'Service', namespace: 'shop', name } as const;
  return { key: 'port-protocol-unknown', object, field: 'spec.ports[0]', message: 'm', remedy: 'r', ...fields };
}

function policiesAccepted(...problems: Problem[]) {
  return meshConditions({ model, problems, certificates }).find(({ type }) => type === 'PoliciesAccepted');
}

describe('the controller’s conditions on the MeshConfig', () => {
  it('say that all is accepted', () => {
    const { status, reason } = policiesAccepted() ?? {};
    assert.deepEqual([status, reason], ['True', 'AllAccepted']);
  });

  it('name the first problems and count the rest', () => {
    const one = policiesAccepted(problem('a'));
    assert.deepEqual([one?.status, one?.reason], ['False', 'ProblemsFound']);
    assert.match(one?.message ?? '', /^1 problem: port-protocol-unknown in Service shop\/a, spec.ports\[0\]\. /);
    const many = policiesAccepted(...['a', 'b', 'c', 'd', 'e'].map((name) => problem(name)));
    assert.match(many?.message ?? '', /^5 problems: .*shop\/a.*shop\/c, spec.ports\[0\]; and 2 more\. /);
    assert.doesNotMatch(many?.message ?? '', /shop\/d/);
    assert.match(policiesAccepted(problem('a', { field: '' }))?.message ?? '', /in Service shop\/a\. /);
  });

  it('say which workloads take calls from outside the mesh, and on which ports, but not how many pods they are', () => {
    const accepted = (acceptPlaintext: 'on' | 'off', pods: number) => {
      const web = Array.from({ length: pods }, (_, index) => pod(`shop/web-${index}`, 'web', { acceptPlaintext }));
      const services = [service('shop/web', { ports: [port(80, { targetPort: 8080 })] })];
      const { model: opened } = compile(cluster({ services, pods: web }));
      return meshConditions({ model: opened, problems: [], certificates }).find(
        ({ type }) => type === 'PlaintextAccepted',
      );
    };
    assert.deepEqual([accepted('off', 1)?.status, accepted('off', 1)?.reason], ['False', 'MutualTlsOnly']);
    assert.equal(accepted('on', 1)?.status, 'True');
    assert.match(accepted('on', 1)?.message ?? '', /: Deployment shop\/web on 8080\.$/);
    assert.deepEqual(accepted('on', 3), accepted('on', 1));
  });

  it('say who signs workload certificates, and in the provider’s own words why nobody does', () => {
    const issued = (facts: Partial<CertificateFacts>) =>
      meshConditions({ model, problems: [], certificates: { ...certificates, ...facts } }).at(-1);
    assert.deepEqual(issued({}), {
      type: 'WorkloadCertificatesIssued',
      status: 'True',
      reason: 'Issued',
      message: 'Signed by the built-in authority for trust domain cluster.local.',
    });
    const vault = { provider: 'vault', rootCertificate: 'from-vault', trustDomain: 'cluster.local' } as const;
    assert.match(
      issued({ validating: [signing, vault] })?.message ?? '',
      /beside it: vault, MeshRootCertificate from-vault/,
    );
    const troubles = [{ key: 'provider-unreachable', message: 'Vault is sealed.', rootCertificate: 'from-vault' }];
    const failing = issued({ signing: vault, troubles });
    assert.deepEqual([failing?.status, failing?.reason], ['False', 'ProviderTrouble']);
    assert.equal(failing?.message, 'provider-unreachable: Vault is sealed.');
    assert.equal(
      issued({ troubles })?.message,
      'provider-unreachable: Vault is sealed. The built-in authority signs meanwhile.',
    );
    assert.equal(issued({ signing: undefined, validating: [] })?.status, 'Unknown');
    const counted = { troubles, earliestExpiry: 7 };
    assert.deepEqual(issued({ ...counted, accountsFailing: 1 }), issued({ troubles, accountsFailing: 2 }));
  });

  it('speak of the ingress gateway’s certificate only while one is asked for', () => {
    const fact = {
      secret: { namespace: 'edge', name: 'tls' },
      dnsNames: ['a.example.com', 'b.example.com'],
      trouble: undefined,
      notAfter: Date.parse('2026-06-01T12:00:00Z'),
    } as const;
    const told = (gateway: GatewayFact | undefined) =>
      meshConditions({ model, problems: [], certificates, gateway }).find(({ type }) => passingTypes.includes(type));
    assert.equal(told(undefined), undefined);
    assert.deepEqual(told(fact), {
      type: 'IngressGatewayCertificateIssued',
      status: 'True',
      reason: 'Issued',
      message:
        'Secret edge/tls holds a certificate for a.example.com, b.example.com until 2026-06-01T12:00:00.000Z; it is renewed before.',
    });
    assert.equal(told({ ...fact, notAfter: undefined })?.status, 'Unknown');
    const trouble = {
      reason: 'ProviderTrouble',
      key: 'provider-unreachable',
      message: 'Vault issues none: it is down',
    };
    const failing = told({ ...fact, trouble });
    assert.deepEqual([failing?.status, failing?.reason], ['False', 'ProviderTrouble']);
    assert.equal(
      failing?.message,
      'provider-unreachable: Vault issues none: it is down. What Secret edge/tls holds ends on 2026-06-01T12:00:00.000Z.',
    );
    assert.doesNotMatch(told({ ...fact, trouble, notAfter: undefined })?.message ?? '', /holds/);
  });

  it('leave what is wrong in the MeshConfig itself to the operator', () => {
    const object = { kind: 'MeshConfig', namespace: 'osm-system', name: 'osm-mesh-config' } as const;
    assert.equal(policiesAccepted(problem('', { object, key: 'object-invalid' }))?.status, 'True');
  });

  it('are none of the operator’s: two field managers would take an entry from each other for ever', () => {
    const own = meshConditions({ model, problems: [], certificates }).map(({ type }) => type);
    assert.deepEqual(
      own.filter((type) => (conditionTypes as readonly string[]).includes(type)),
      [],
    );
    assert.equal(new Set(own).size, own.length);
  });
});
