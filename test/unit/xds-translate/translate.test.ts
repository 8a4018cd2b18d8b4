/** Sharing, versions and what travels with a resource. */
import assert from 'node:assert/strict';
import { kindOf, resourceJson } from '#test/support/static-config.ts';
import {
  cluster,
  endpoint,
  httpChain,
  inboundRoute,
  inboundView,
  outboundView,
  virtualHost,
} from '#test/support/views.ts';
import { translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';
import { ClusterLoadAssignmentSchema } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { fromBinary } from '@bufbuild/protobuf';

const routes = { key: 'r', name: 'outbound.80', virtualHosts: [virtualHost('web', 80, 'shop/web|80|0')] };
const outbound = outboundView({
  httpPorts: [{ port: 80, addresses: ['10.0.0.1'], routes }],
  clusters: [cluster('web', 80), cluster('pods', 80, { discovery: 'original-destination', targetPort: 8080 })],
});
const inbound = inboundView({ chains: [httpChain('web', 80, [inboundRoute('.*', { kind: 'any-mesh-identity' })])] });

describe('translateView', () => {
  it('returns the same objects for the same parts, also in another sidecar’s view', () => {
    const first = translateView({ outbound, inbound });
    const second = translateView({ outbound: { ...outbound, ipv6: true }, inbound });
    const shared = first.filter((it) => second.includes(it)).map((it) => `${kindOf(it)} ${it.name}`);
    assert.deepEqual(shared, [
      'Cluster shop/web|80|0',
      'Cluster shop/pods|80|0',
      'RouteConfiguration outbound.80',
      'Cluster local.80',
      'Listener inbound',
      'RouteConfiguration inbound.shop/web.80',
    ]);
    assert.deepEqual(
      second.filter((it) => !first.includes(it)).map((it) => it.name),
      ['outbound'],
    );
  });

  it('makes the same bytes and version of an equal view that was built again', () => {
    const versions = (): string[] => translateView(structuredClone({ outbound, inbound })).map((it) => it.hash);
    assert.deepEqual(versions(), versions());
    assert.deepEqual(
      versions(),
      translateView({ outbound, inbound }).map((it) => it.hash),
    );
  });

  it('touches what is HTTP between sidecars, and nothing else, when connections may grow older', () => {
    const database = cluster('db', 3306, { protocol: 'tcp' });
    const chains = [
      ...inbound.chains,
      {
        ...httpChain('db', 3306, []),
        protocol: 'tcp',
        policy: { kind: 'tcp', allowed: { kind: 'any-mesh-identity' } },
      } as const,
    ];
    const views = (maxConnectionMs: number) =>
      translateView({
        outbound: { ...outbound, clusters: [...outbound.clusters, database].map((it) => ({ ...it, maxConnectionMs })) },
        inbound: { ...inbound, chains, maxConnectionMs },
      });
    const before = views(3_600_000);
    const after = views(0);
    assert.deepEqual(
      after.filter((it) => !before.some(({ hash }) => hash === it.hash)).map((it) => `${kindOf(it)} ${it.name}`),
      ['Cluster shop/web|80|0', 'Cluster shop/pods|80|0', 'Listener inbound'],
    );
    const chainOf = (resources: typeof before, name: string) => {
      const listener = resources.find((it) => it.name === 'inbound');
      assert.ok(listener !== undefined);
      const json = resourceJson(listener)['filter_chains'] as { name: string }[];
      return json.find((it) => it.name === name);
    };
    assert.deepEqual(chainOf(after, 'shop/db.3306'), chainOf(before, 'shop/db.3306'));
    assert.notDeepEqual(chainOf(after, 'shop/web.80'), chainOf(before, 'shop/web.80'));
    assert.doesNotMatch(JSON.stringify(after.map(resourceJson)), /max_connection_duration/);
  });

  it('keeps every chain but the changed one as it is: an address that comes changes the matcher alone', () => {
    const other = { ...outbound, httpPorts: [{ port: 80, addresses: ['10.0.0.1', '10.0.0.2'], routes }] };
    const changed = translateView({ outbound: other, inbound }).filter(
      (it) => !translateView({ outbound, inbound }).some(({ hash }) => hash === it.hash),
    );
    assert.deepEqual(
      changed.map((it) => it.name),
      ['outbound'],
    );
  });

  it('says which endpoints and secrets must travel with a cluster, and which secrets with a listener', () => {
    const references = translateView({ outbound, inbound })
      .filter((it) => it.endpoints !== undefined || it.secrets !== undefined)
      .map(({ name, endpoints, secrets }) => ({ name, endpoints, secrets }));
    const secrets = ['workload', 'roots'];
    assert.deepEqual(references, [
      { name: 'shop/web|80|0', endpoints: ['shop/web|80|0'], secrets },
      { name: 'shop/pods|80|0', endpoints: undefined, secrets },
      { name: 'inbound', endpoints: undefined, secrets },
    ]);
  });

  it('has no inbound listener for a pod of no service', () => {
    const names = translateView({ outbound: outboundView(), inbound: inboundView() }).map((it) => it.name);
    assert.deepEqual(names, ['outbound']);
  });
});

describe('translateEndpoints', () => {
  it('closes the gap that a zone without endpoints would leave, since Envoy refuses one', () => {
    const { bytes } = translateEndpoints({
      cluster: 'c',
      localities: [
        { zone: 'mine', priority: 0, endpoints: [] },
        { zone: 'a', priority: 1, endpoints: [endpoint('10.0.0.1', 80)] },
        { zone: 'b', priority: 1, endpoints: [endpoint('10.0.0.2', 80)] },
      ],
    });
    const { endpoints } = fromBinary(ClusterLoadAssignmentSchema, bytes);
    assert.deepEqual(
      endpoints.map(({ locality, priority }) => [locality?.zone, priority]),
      [
        ['a', 0],
        ['b', 0],
      ],
    );
  });
});

describe('translateSecrets', () => {
  const workload = { certificateChain: 'CHAIN', privateKey: () => 'PRIVATE' };

  it('takes the version of the workload secret from the certificate, not from the key', () => {
    const [one] = translateSecrets({ workload, roots: {} });
    const [other] = translateSecrets({ workload: { ...workload, privateKey: () => 'ANOTHER' }, roots: {} });
    const [renewed] = translateSecrets({ workload: { ...workload, certificateChain: 'NEW' }, roots: {} });
    assert.equal(one?.hash, other?.hash);
    assert.notEqual(one?.hash, renewed?.hash);
  });

  it('does not depend on the order in which trust domains are given', () => {
    const [, one] = translateSecrets({ workload, roots: { a: 'A', b: 'B' } });
    const [, other] = translateSecrets({ workload, roots: { b: 'B', a: 'A' } });
    assert.equal(one?.hash, other?.hash);
  });
});
