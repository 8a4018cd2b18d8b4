import assert from 'node:assert/strict';
import { clusterDomain } from '#controller/environment.ts';
import { parseNamespace } from '#controller/parse/cluster.ts';
import { parseSettings } from '#controller/parse/config.ts';
import { parsePod } from '#controller/parse/pod.ts';
import { trafficTarget } from '#controller/parse/policies.ts';
import { parseEndpointSlice, parseService } from '#controller/parse/service.ts';
import type { KubeObject } from '#kubernetes/types.ts';

const object = (kind: string, fields: object, metadata: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind,
  ...fields,
  metadata: { name: 'x', namespace: 'shop', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z', ...metadata },
});

describe('the certificate of an ingress gateway', () => {
  const gatewayOf = (certificate: object) => {
    const result = parseSettings(
      {
        ...object('MeshConfig', { spec: { certificate } }, { name: 'osm-mesh-config' }),
        apiVersion: 'config.openservicemesh.io/v1alpha2',
      },
      { namespace: 'osm-system', domain: 'cluster.local', meshName: 'osm' },
    );
    return result.ok ? result.settings.gateway : assert.fail(JSON.stringify(result.errors));
  };

  it('is asked for with each name once, and not at all where the MeshConfig says nothing', () => {
    assert.equal(gatewayOf({}), undefined);
    const secret = { name: 'tls', namespace: 'edge' };
    const subjectAltNames = ['b.example.com', 'a.example.com', 'b.example.com'];
    assert.deepEqual(gatewayOf({ ingressGateway: { subjectAltNames, validityDuration: '1h30m', secret } }), {
      dnsNames: ['b.example.com', 'a.example.com'],
      lifetimeMs: 5_400_000,
      secret,
    });
  });
});

describe('services', () => {
  it('take the port as target port where none is said, and keep named ones', () => {
    const { ports } = parseService(
      object('Service', {
        spec: { clusterIP: '10.0.0.1', ports: [{ port: 80 }, { name: 'a', port: 81, targetPort: 'web' }] },
      }),
    );
    assert.deepEqual(
      ports.map(({ targetPort, protocol }) => [targetPort, protocol]),
      [
        [80, 'TCP'],
        ['web', 'TCP'],
      ],
    );
  });

  it('are headless with clusterIP None, and keep both families otherwise', () => {
    const headless = parseService(object('Service', { spec: { clusterIP: 'None', clusterIPs: ['None'] } }));
    assert.deepEqual([headless.headless, headless.clusterIPs], [true, []]);
    const dual = parseService(
      object('Service', { spec: { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1', 'fd00::1'] } }),
    );
    assert.deepEqual([dual.headless, dual.clusterIPs], [false, ['10.0.0.1', 'fd00::1']]);
  });
});

describe('endpoint slices', () => {
  it('count an endpoint without a word on readiness as ready, and one that is not ready as not', () => {
    const slice = parseEndpointSlice(
      object(
        'EndpointSlice',
        {
          addressType: 'IPv6',
          ports: [{ name: 'http', port: 8080 }],
          endpoints: [
            {
              addresses: ['fd00::2'],
              targetRef: { kind: 'Pod', name: 'web-1' },
              zone: 'a',
              hints: { forZones: [{ name: 'b' }, { name: 'a' }], forNodes: [{ name: 'node-1' }] },
            },
            { addresses: ['fd00::3'], conditions: { ready: false } },
          ],
        },
        { labels: { 'kubernetes.io/service-name': 'web' } },
      ),
    );
    assert.equal(slice?.addressType, 'IPv6');
    assert.deepEqual(
      slice?.endpoints.map(({ ready, pod, zone, hintZones }) => [ready, pod, zone, hintZones]),
      [
        [true, 'web-1', 'a', ['a', 'b']],
        [false, undefined, undefined, []],
      ],
    );
  });

  it('that belong to no service are not kept', () => {
    assert.equal(parseEndpointSlice(object('EndpointSlice', { endpoints: [] })), undefined);
  });
});

describe('pods', () => {
  const image = 'i';
  const spec = {
    serviceAccountName: 'web.v2',
    nodeName: 'n',
    initContainers: [
      { name: 'osm-init', image },
      { name: 'envoy', image, restartPolicy: 'Always' },
    ],
    containers: [{ name: 'app', image, ports: [{ name: 'http', containerPort: 8080 }] }],
  };
  const status = { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] };

  it('are meshed with our sidecar, native or not, and not with a container that only has its name', () => {
    assert.equal(parsePod(object('Pod', { spec, status }))?.meshed, true);
    const plain = { ...spec, initContainers: [{ name: 'osm-init' }], containers: [{ name: 'envoy' }] };
    assert.equal(parsePod(object('Pod', { spec: plain, status }))?.meshed, true);
    assert.equal(parsePod(object('Pod', { spec: { containers: [{ name: 'envoy' }] }, status }))?.meshed, false);
  });

  it('bring account, addresses and named ports', () => {
    const pod = parsePod(object('Pod', { spec, status }));
    assert.deepEqual(
      [pod?.account, pod?.ips, pod?.namedPorts],
      ['shop/web.v2', ['10.0.0.1', 'fd00::1'], { http: 8080 }],
    );
    assert.equal(parsePod(object('Pod', { spec: { containers: [] }, status }))?.account, 'shop/default');
    assert.equal(pod?.hostname, 'x');
    assert.equal(parsePod(object('Pod', { spec: { ...spec, hostname: 'alpha' }, status }))?.hostname, 'alpha');
  });

  it('that have ended are left out: their address may be another pod’s', () => {
    for (const phase of ['Succeeded', 'Failed'])
      assert.equal(parsePod(object('Pod', { spec, status: { phase } })), undefined);
  });

  it('say themselves whether they take plaintext, as their namespace may for them', () => {
    const said = (value: string) => ({ annotations: { 'openservicemesh.io/accept-plaintext': value } });
    const words = ['Enabled', 'no', 'maybe'] as const;
    const meanings = ['on', 'off', 'unreadable'];
    assert.deepEqual(
      words.map((word) => parsePod(object('Pod', { spec, status }, said(word)))?.acceptPlaintext),
      meanings,
    );
    assert.deepEqual(
      words.map((word) => parseNamespace(object('Namespace', {}, said(word)), 'osm').acceptPlaintext),
      meanings,
    );
    assert.equal(parsePod(object('Pod', { spec, status }))?.acceptPlaintext, 'unset');
    assert.equal(parseNamespace(object('Namespace', {}), 'osm').acceptPlaintext, 'unset');
  });

  it('belong to the workload that a user knows', () => {
    const owned = (kind: string, name: string, hash?: string) =>
      parsePod(
        object(
          'Pod',
          { spec, status },
          {
            ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid: 'o', controller: true }],
            labels: hash === undefined ? {} : { 'pod-template-hash': hash },
          },
        ),
      )?.workload;
    assert.deepEqual(owned('ReplicaSet', 'web-v1-5d9f', '5d9f'), { kind: 'Deployment', name: 'web-v1' });
    assert.deepEqual(owned('ReplicaSet', 'web-v1-5d9f'), { kind: 'ReplicaSet', name: 'web-v1-5d9f' });
    assert.deepEqual(owned('StatefulSet', 'db'), { kind: 'StatefulSet', name: 'db' });
    assert.deepEqual(parsePod(object('Pod', { spec, status }))?.workload, { kind: 'Pod', name: 'x' });
  });
});

describe('policies', () => {
  it('that cannot be parsed become problems that name the field', () => {
    const parsed = trafficTarget({
      ...object('TrafficTarget', { spec: { destination: 'web' } }),
      apiVersion: 'access.smi-spec.io/v1alpha3',
    });
    assert.equal(parsed.ok, false);
    const [problem] = parsed.ok ? [] : parsed.problems;
    assert.equal(problem?.key, 'object-invalid');
    assert.match(problem?.field ?? '', /^spec\./);
  });

  it('take the own namespace for a source that names none', () => {
    const parsed = trafficTarget({
      ...object('TrafficTarget', {
        spec: {
          destination: { kind: 'ServiceAccount', name: 'web', namespace: 'shop' },
          sources: [{ kind: 'ServiceAccount', name: 'client' }],
          rules: [{ kind: 'TCPRoute', name: 'any' }],
        },
      }),
      apiVersion: 'access.smi-spec.io/v1alpha3',
    });
    assert.ok(parsed.ok);
    assert.deepEqual(parsed.object.sources, [{ kind: 'ServiceAccount', name: 'client', namespace: 'shop' }]);
    assert.deepEqual(parsed.object.rules, [{ kind: 'TCPRoute', name: 'any', matches: [] }]);
  });
});

describe('settings', () => {
  const cluster = { namespace: 'osm-system', domain: 'cluster.local', meshName: 'osm' };
  const config = (spec: object): KubeObject => ({
    ...object('MeshConfig', { spec }, { name: 'osm-mesh-config' }),
    apiVersion: 'config.openservicemesh.io/v1alpha2',
  });

  it('have every default with an empty spec', () => {
    const result = parseSettings(config({}), cluster);
    assert.ok(result.ok, JSON.stringify(result));
    assert.equal(result.settings.trustDomain, 'cluster.local');
    assert.equal(result.settings.certificateLifetimeMs, 24 * 3_600_000);
    assert.deepEqual([result.settings.mesh.permissive, result.settings.mesh.egress], [true, true]);
    assert.equal(result.settings.mesh.applicationIdleTimeoutMs, 2000);
    assert.equal(result.settings.mesh.maxConnectionMs, 3_600_000);
  });

  it('name the field that is wrong', () => {
    const result = parseSettings(config({ certificate: { serviceCertValidityDuration: 'soon' } }), cluster);
    assert.equal(result.ok, false);
    assert.ok(
      !result.ok && result.errors.some(({ field }) => field === 'spec.certificate.serviceCertValidityDuration'),
    );
  });

  it('find the domain of the cluster as the kubelet writes it', () => {
    assert.equal(clusterDomain('search osm-system.svc.my.corp svc.my.corp my.corp\nnameserver 1.2.3.4\n'), 'my.corp');
    assert.equal(clusterDomain('nameserver 1.2.3.4\n'), 'cluster.local');
  });
});
