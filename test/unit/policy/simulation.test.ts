/** The simulation would notice: each part of the configuration that a call passes through is spoiled in turn. */
import assert from 'node:assert/strict';
import { arrive } from '#test/support/simulate/simulate.ts';
import { resourceJson, withJson } from '#test/support/static-config.ts';
import { cluster, group, pod, port, service, split, target, tcpRoute } from '#test/unit/mesh/builders.ts';
import type { Resource } from '#xds/resource.ts';
import { world } from './world.ts';

const client = pod('buy/client', 'client', { ips: ['10.244.9.1'] });
const ips = ['10.244.9.2'];
const web = service('shop/web', { ports: [port(80), port(5432, { name: 'tcp' })], clusterIPs: ['10.96.9.1'] });
const server = pod('shop/web-1', 'web', { ips });
const objects = cluster({
  services: [web],
  pods: [client, server],
  httpRouteGroups: [group('shop/g', { pathRegex: '/a', methods: ['GET'] })],
  tcpRoutes: [tcpRoute('shop/r')],
  trafficTargets: [target('shop/t', ['buy/client'], 'shop/web', 'HTTPRouteGroup/g', 'TCPRoute/r')],
});

/** Replaces a text in the JSON of every resource that `of` names. */
function spoil(of: string, from: string, to: string) {
  return (resources: readonly Resource[]) =>
    resources.map((resource) => {
      const json = JSON.stringify(resourceJson(resource));
      if (!`${resource.type} ${resource.name}`.includes(of) || !json.includes(from)) return resource;
      return withJson(resource, JSON.parse(json.replaceAll(from, to)) as ReturnType<typeof resourceJson>);
    });
}

const outcomeOf = (change: ReturnType<typeof spoil>, url = 'http://web.shop/a'): string =>
  world(objects, change).call(client, url);

describe('the simulation of Envoy', () => {
  it('lets a call through that the policies allow', () => {
    const { call } = world(objects);
    assert.equal(call(client, 'http://web.shop/a?x=1'), 'answered by shop/web-1:80');
    assert.equal(call(client, 'http://web.shop/x/../a'), 'answered by shop/web-1:80');
    assert.equal(call(client, 'tcp://web.shop:5432'), 'answered by shop/web-1:5432');
  });

  it('and not one whose path has a spelling that an application may read otherwise', () => {
    const dotted = { ...objects, httpRouteGroups: [group('shop/g', { pathRegex: '/a/.*' })] };
    const { call } = world(dotted);
    assert.equal(call(client, 'http://web.shop/a/b'), 'answered by shop/web-1:80');
    assert.equal(call(client, 'http://web.shop/a/..%2Fadmin'), "403 no-route from the server's sidecar");
    assert.equal(call(client, 'http://web.shop/a/..;/admin'), "403 no-route from the server's sidecar");
  });

  const spoiled: readonly [what: string, change: ReturnType<typeof spoil>, outcome: string, url?: string][] = [
    [
      'an address that the matcher does not know',
      spoil('Listener outbound', '10.96.9.1', '10.96.9.9'),
      'passed through',
    ],
    ['another Host', spoil('outbound.80', 'web.shop', 'wob.shop'), "404 no-such-host from the client's sidecar"],
    ['a cluster that is not there', spoil('outbound.80', 'shop/web|80', 'shop/gone|80'), 'unavailable'],
    ['an endpoint that is another’s', spoil('LoadAssignment', '10.244.9.2', '10.244.9.3'), 'unavailable'],
    ['an account that the caller does not expect', spoil('Cluster shop/', '/sa/web', '/sa/wob'), 'unavailable'],
    ['another server name', spoil('Cluster shop/', '"sni":"web', '"sni":"wob'), "closed by the server's sidecar"],
    ['another ALPN', spoil('Cluster shop/', '["osm"]', '["h2"]'), "closed by the server's sidecar"],
    ['a path that no route matches', spoil('inbound.', '"/a"', '"/b"'), "403 no-route from the server's sidecar"],
    ['a method that no route matches', spoil('inbound.', '"GET"', '"PUT"'), "403 no-route from the server's sidecar"],
    ['another principal', spoil('inbound.', '/sa/client', '/sa/klient'), "403 not-allowed from the server's sidecar"],
    [
      'another certificate at a TCP chain',
      spoil('Listener inbound', '/sa/client', '/sa/klient'),
      "closed by the server's sidecar",
      'tcp://web.shop:5432',
    ],
  ];
  for (const [what, change, outcome, url] of spoiled) {
    it(`notices ${what}`, () => {
      assert.equal(outcomeOf(change, url), outcome);
    });
  }

  it('notices a route without its own RBAC: the filter’s deny-all answers', () => {
    const without = (resources: readonly Resource[]) =>
      resources.map((resource) => {
        if (!resource.name.startsWith('inbound.')) return resource;
        const json = JSON.stringify(resourceJson(resource), (key, value: unknown) =>
          key === 'typed_per_filter_config' ? undefined : value,
        );
        return withJson(resource, JSON.parse(json) as ReturnType<typeof resourceJson>);
      });
    assert.equal(
      world(objects, without).call(client, 'http://web.shop/a'),
      "403 not-allowed from the server's sidecar",
    );
  });

  it('notices weights', () => {
    const services = ['web', 'v1', 'v2'].map((name) => service(`shop/${name}`));
    const pods = [pod('shop/one', 'v1', { sa: 'web' }), pod('shop/two', 'v2', { sa: 'web' }), client];
    const divided = cluster({
      ...objects,
      services,
      pods,
      endpointSlices: [],
      trafficSplits: [split('shop/s', 'web', { v1: 1, v2: 4 })],
    });
    const withSlices = { ...divided, endpointSlices: cluster({ services, pods }).endpointSlices };
    assert.equal(
      world(withSlices).call(client, 'http://web.shop/a'),
      'answered by shop/one:80 (20%), shop/two:80 (80%)',
    );
    const spoilt = spoil('outbound.80', '"weight":4', '"weight":1');
    assert.equal(
      world(withSlices, spoilt).call(client, 'http://web.shop/a'),
      'answered by shop/one:80 (50%), shop/two:80 (50%)',
    );
  });

  it('takes no plaintext and no stranger at the server', () => {
    const { sidecar } = world(objects);
    const http = { host: 'web.shop', path: '/a' };
    const sni = 'web.shop.svc.cluster.local';
    const why = (tls: Parameters<typeof arrive>[1]['tls']) => {
      const fate = arrive(sidecar(server), { port: 80, tls, http });
      return fate.kind === 'refused' ? `${fate.how} ${fate.why}` : fate.kind;
    };
    assert.equal(why(undefined), 'close no-chain');
    assert.equal(why({ sni, alpn: ['osm'], certificate: undefined }), 'close not-allowed');
    assert.equal(why({ sni, alpn: [], certificate: 'spiffe://cluster.local/ns/buy/sa/client' }), 'close no-chain');
    assert.equal(why({ sni, alpn: ['osm'], certificate: 'spiffe://cluster.local/ns/buy/sa/client' }), 'answered');
    assert.equal(
      why({ sni, alpn: ['osm'], certificate: 'spiffe://cluster.local/ns/buy/sa/thief' }),
      'reply not-allowed',
    );
  });
});
