/**
 * Defects of the original that concern traffic policy (reference 7.3, by their numbers there), each as a test over the
 * configuration that Envoy is given. Calls go by the caller's sidecar, and past it.
 */
import assert from 'node:assert/strict';
import { parsePod } from '#controller/parse/pod.ts';
import { compile } from '#mesh/compile.ts';
import { portProtocol } from '#mesh/protocols.ts';
import type { MeshObjects } from '#mesh/objects.ts';
import { resourcesOfModel } from '#test/support/simulate/mesh.ts';
import { resourceJson } from '#test/support/static-config.ts';
import { cluster, group, pod, port, service, SETTINGS, split, target, tcpRoute } from '#test/unit/mesh/builders.ts';
import { world } from './world.ts';

const client = pod('buy/client', 'client');
const thief = pod('buy/thief', 'thief');
const any = group('shop/all', {});
const anyPort = tcpRoute('shop/any');
const routes = { httpRouteGroups: [any], tcpRoutes: [anyPort] };
const ports = {
  http: port(80, { targetPort: 8080 }),
  grpc: port(90, { targetPort: 9090, appProtocol: 'grpc', name: 'grpc' }),
  tcp: port(5432, { appProtocol: 'tcp', name: 'tcp' }),
};

const DENIED_BY_SERVER = { kind: 'refused', where: 'server', how: 'close', status: 0, why: 'not-allowed', body: '' };

describe('traps of the original', () => {
  it('7.3.1: filters are each chain’s own, however many ports and protocols a pod has', () => {
    const all = service('shop/web', { ports: [ports.http, ports.grpc, ports.tcp] });
    const server = pod('shop/web-1', 'web');
    const { sidecar } = world(cluster({ services: [all], pods: [server, client] }));
    const chains = sidecar(server).resources.flatMap((resource) =>
      resource.name === 'inbound' ? (resourceJson(resource)['filter_chains'] as unknown as FilterChainJson[]) : [],
    );
    const filters = chains.map(({ name, filters: list }) => [
      name,
      ...list.flatMap((filter) => [filter, ...(filter.typed_config.http_filters ?? [])]).map((filter) => filter.name),
    ]);
    const http = ['network.http_connection_manager', 'http.rbac', 'http.router'];
    assert.deepEqual(
      filters.map((list) => list.map((name) => name.replace('envoy.filters.', ''))),
      [
        ['shop/web.5432', 'network.rbac', 'network.tcp_proxy'],
        ['shop/web.8080', ...http],
        ['shop/web.9090', ...http],
      ],
    );
  });

  it('7.3.2: a TCP service without a TrafficTarget takes nobody, also past the caller’s sidecar', () => {
    const db = service('shop/db', { ports: [ports.tcp] });
    const server = pod('shop/db-1', 'db');
    const { call, bypass } = world(cluster({ services: [db], pods: [server, client] }));
    assert.equal(call(client, 'tcp://db.shop:5432'), "closed by the client's sidecar");
    assert.deepEqual(bypass(client, server, { service: 'db.shop', port: 5432 }), DENIED_BY_SERVER);
  });

  describe('7.3.3: HTTP and TCP are granted apart', () => {
    const web = service('shop/web', { ports: [ports.http] });
    const db = service('shop/db', { ports: [ports.tcp] });
    const server = pod('shop/web-1', 'web', { sa: 'one' });
    const dbServer = pod('shop/db-1', 'db', { sa: 'one' });
    const with_ = (...rules: string[]) =>
      world(
        cluster({
          ...{ services: [web, db], pods: [server, dbServer, client, thief], ...routes },
          trafficTargets: [target('shop/t', ['buy/client'], 'shop/one', ...rules)],
          tcpRoutes: [anyPort, tcpRoute('shop/db-only', 5432)],
        }),
      );

    it('a target with HTTP rules only opens no TCP port of that identity', () => {
      const { call, bypass } = with_('HTTPRouteGroup/all');
      assert.equal(call(client, 'http://web.shop/'), 'answered by shop/web-1:8080');
      assert.equal(call(client, 'tcp://db.shop:5432'), "closed by the client's sidecar");
      assert.deepEqual(bypass(client, dbServer, { service: 'db.shop', port: 5432 }), DENIED_BY_SERVER);
    });

    it('a target with both does not need the HTTP port in its TCPRoute', () => {
      const { call } = with_('HTTPRouteGroup/all', 'TCPRoute/db-only');
      assert.equal(call(client, 'http://web.shop/'), 'answered by shop/web-1:8080');
      assert.equal(call(client, 'tcp://db.shop:5432'), 'answered by shop/db-1:5432');
    });

    it('a target with TCP rules only opens no HTTP service, and nobody but its sources comes in', () => {
      const { call, bypass } = with_('TCPRoute/any');
      assert.equal(call(client, 'http://web.shop/'), "403 not-allowed from the client's sidecar");
      assert.equal(call(client, 'tcp://db.shop:5432'), 'answered by shop/db-1:5432');
      assert.deepEqual(bypass(thief, dbServer, { service: 'db.shop', port: 5432 }), DENIED_BY_SERVER);
      const http = bypass(client, server, { service: 'web.shop', port: 8080, http: { host: 'web.shop' } });
      assert.ok(http.kind === 'refused' && http.status === 403 && http.why === 'no-route');
    });
  });

  it('7.3.7: a backend of weight 0 gets nothing, and its chain is one that Envoy takes', () => {
    const names = ['db', 'db-v1', 'db-v2'];
    const services = names.map((name) => service(`shop/${name}`, { ports: [ports.tcp] }));
    const pods = [pod('shop/v1', 'db-v1'), pod('shop/v2', 'db-v2'), client];
    const config = { ...SETTINGS, permissive: true };
    const splits = (weights: Record<string, number>) => ({ trafficSplits: [split('shop/s', 'db', weights)] });
    const one = world(cluster({ services, pods, config, ...splits({ 'db-v1': 100, 'db-v2': 0 }) }));
    assert.equal(one.call(client, 'tcp://db.shop:5432'), 'answered by shop/v1:5432');
    const none = world(cluster({ services, pods, config, ...splits({ 'db-v1': 0, 'db-v2': 0 }) }));
    assert.equal(none.call(client, 'tcp://db.shop:5432'), "closed by the client's sidecar");
    const two = world(cluster({ services, pods, config, ...splits({ 'db-v1': 1, 'db-v2': 3 }) }));
    assert.equal(two.call(client, 'tcp://db.shop:5432'), 'answered by shop/v1:5432 (25%), shop/v2:5432 (75%)');
  });

  describe('7.3.8: names', () => {
    const services = ['web', 'web-v1'].map((name) => service(`shop/${name}`));
    const pods = [pod('shop/v1', 'web-v1'), pod('shop/w', 'web'), client];
    for (const apex of ['web', 'web.shop', 'web.shop.svc', 'web.shop.svc.cluster.local']) {
      it(`a split of "${apex}" is a split of web`, () => {
        const config = { ...SETTINGS, permissive: true };
        const splits = [split('shop/s', apex, { 'web-v1': 1 })];
        const { call } = world(cluster({ services, pods, config, trafficSplits: splits }));
        assert.equal(call(client, 'http://web.shop/'), 'answered by shop/v1:80');
      });
    }

    it('the name of a StatefulSet’s pod leads to that pod alone, in every form', () => {
      const db = service('shop/db', { headless: true });
      const stateful = ['db-0', 'db-1'].map((name) =>
        pod(`shop/${name}`, 'db', { workload: { kind: 'StatefulSet', name: 'db' } }),
      );
      const { call } = world(
        cluster({ services: [db], pods: [...stateful, client], config: { ...SETTINGS, permissive: true } }),
      );
      for (const end of ['', '.svc', '.svc.cluster.local', '.svc.cluster.local.', '.svc.cluster.local:80']) {
        assert.equal(call(client, `http://db-1.db.shop${end}/`), 'answered by shop/db-1:80', end);
      }
    });
  });

  it('7.3.9: a Service, and a setting of TLS, that change reach every sidecar that they concern', () => {
    const web = service('shop/web');
    const server = pod('shop/web-1', 'web');
    const base = cluster({ services: [web], pods: [server, client], config: { ...SETTINGS, permissive: true } });
    const changed = (next: MeshObjects, of: typeof client): string[] => {
      const before = compile(base);
      const old = new Map(resourcesOfModel(before.model)(of).map(({ type, name, hash }) => [`${type} ${name}`, hash]));
      return resourcesOfModel(compile(next, before.model).model)(of)
        .filter(({ type, name, hash }) => old.get(`${type} ${name}`) !== hash)
        .map(({ type, name }) => `${type.slice(type.lastIndexOf('.') + 1)} ${name.split('|').slice(0, 2).join('|')}`);
    };
    const tls = { ...SETTINGS.tls, minVersion: 'TLSv1_3' as const };
    const stricter = { ...base, config: { ...base.config, tls } };
    assert.deepEqual(changed(stricter, client), ['Cluster shop/web|80']);
    assert.deepEqual(changed(stricter, server), ['Cluster shop/web|80', 'Listener inbound']);
    const wider = cluster({
      ...base,
      endpointSlices: [],
      services: [{ ...web, ports: [port(80), port(81, { name: 'two' })] }],
    });
    assert.ok(changed(wider, client).includes('RouteConfiguration outbound.81'));
    assert.ok(changed(wider, server).includes('Listener inbound'));
  });

  it('7.3.18: the workload’s name comes from the template hash, not from the last hyphen', () => {
    const workload = (owner: string, labels: Record<string, string>) =>
      parsePod({
        ...{ apiVersion: 'v1', kind: 'Pod', spec: {}, status: {} },
        metadata: {
          ...{ name: 'web-5d4f-abcde', namespace: 'shop', labels },
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: 'u', controller: true }],
        },
      })?.workload;
    assert.deepEqual(workload('web-front-5d4f', { 'pod-template-hash': '5d4f' }), {
      kind: 'Deployment',
      name: 'web-front',
    });
    assert.deepEqual(workload('web-front', {}), { kind: 'ReplicaSet', name: 'web-front' });
  });

  describe('7.3.20: names that the original took apart', () => {
    it('the cluster’s domain is a setting: its names work, and those of cluster.local do not', () => {
      const web = service('shop/web');
      const config = { ...SETTINGS, permissive: true, clusterDomain: 'example.internal' };
      const { call } = world(cluster({ services: [web], pods: [pod('shop/web-1', 'web'), client], config }));
      assert.equal(call(client, 'http://web.shop.svc.example.internal/'), 'answered by shop/web-1:80');
      const host = 'web.shop.svc.cluster.local';
      assert.equal(call(client, 'http://web.shop/', { host }), "404 no-such-host from the client's sidecar");
    });

    it('service accounts with dots are whole: no other account is taken for one', () => {
      const web = service('shop/web', { ports: [ports.http, ports.tcp] });
      const server = pod('shop/web-1', 'web', { sa: 'robot.v2' });
      const dotted = pod('buy/dotted', 'dotted', { sa: 'a.b' });
      const near = pod('buy/near', 'near', { sa: 'aXb' });
      const { call, bypass } = world(
        cluster({
          ...{ services: [web], pods: [server, dotted, near], ...routes },
          trafficTargets: [target('shop/t', ['buy/a.b'], 'shop/robot.v2', 'HTTPRouteGroup/all', 'TCPRoute/any')],
        }),
      );
      assert.equal(call(dotted, 'http://web.shop/'), 'answered by shop/web-1:8080');
      assert.equal(call(dotted, 'tcp://web.shop:5432'), 'answered by shop/web-1:5432');
      assert.equal(call(near, 'http://web.shop/'), "403 not-allowed from the client's sidecar");
      assert.deepEqual(bypass(near, server, { service: 'web.shop', port: 5432 }), DENIED_BY_SERVER);
      const http = bypass(near, server, { service: 'web.shop', port: 8080, http: { host: 'web.shop' } });
      assert.ok(http.kind === 'refused' && http.why === 'not-allowed');
    });
  });

  it('1.10: an unknown appProtocol, and a UDP port, cost their own port and nothing else', () => {
    const odd = service('shop/odd', {
      ports: [
        port(80, { name: 'web' }),
        port(81, { name: 'odd', appProtocol: 'carrier-pigeon' }),
        port(53, { name: 'dns', protocol: 'UDP' }),
      ],
    });
    const objects = cluster({
      ...{ services: [odd, service('shop/web')], config: { ...SETTINGS, permissive: true } },
      pods: [pod('shop/odd-1', 'odd'), pod('shop/web-1', 'web'), client],
    });
    const { call } = world(objects);
    assert.equal(call(client, 'http://odd.shop/'), 'answered by shop/odd-1:80');
    assert.equal(call(client, 'http://web.shop/'), 'answered by shop/web-1:80');
    assert.equal(call(client, 'tcp://odd.shop:81'), "closed by the client's sidecar");
    assert.deepEqual(
      compile(objects).problems.map(({ key, object, field }) => [key, object.name, field]),
      [['port-protocol-unknown', 'odd', 'spec.ports[1].appProtocol']],
    );
    assert.equal(portProtocol({ name: 'tcp', appProtocol: undefined }), 'tcp');
    assert.equal(portProtocol({ name: 'grpc', appProtocol: undefined }), 'grpc');
  });

  it('2.7: several headless services over the same pods give no chain twice', () => {
    const pods = [pod('shop/db-0', 'db'), pod('shop/db-1', 'db'), client];
    const services = ['one', 'two'].map((name, index) =>
      service(`shop/${name}`, { headless: true, selector: { app: 'db' }, ports: [ports.tcp], created: `202${index}` }),
    );
    // the simulation throws on two chains with the same criteria, as Envoy refuses the whole listener
    const { call } = world(cluster({ services, pods, config: { ...SETTINGS, permissive: true } }));
    assert.equal(call(client, 'tcp://one.shop:5432'), 'answered by shop/db-0:5432');
    assert.equal(call(client, 'tcp://two.shop:5432'), 'answered by shop/db-0:5432');
  });

  it('2.7: the address of a service, with and without the port, is a Host that it answers to', () => {
    const web = service('shop/web', { ports: [ports.http] });
    const { call } = world(
      cluster({ services: [web], pods: [pod('shop/web-1', 'web'), client], config: { ...SETTINGS, permissive: true } }),
    );
    const [ip = ''] = web.clusterIPs;
    for (const host of [ip, `${ip}:80`]) {
      assert.equal(call(client, `http://${ip}/`, { host }), 'answered by shop/web-1:8080');
    }
  });

  it('2.10: a rule without matches allows all matches of its group', () => {
    const web = service('shop/web', { ports: [ports.http] });
    const { call } = world(
      cluster({
        ...{ services: [web], pods: [pod('shop/web-1', 'web'), client] },
        httpRouteGroups: [group('shop/g', { name: 'a', pathRegex: '/a' }, { name: 'b', pathRegex: '/b' })],
        trafficTargets: [target('shop/t', ['buy/client'], 'shop/web', 'HTTPRouteGroup/g')],
      }),
    );
    assert.equal(call(client, 'http://web.shop/a'), 'answered by shop/web-1:8080');
    assert.equal(call(client, 'http://web.shop/b'), 'answered by shop/web-1:8080');
    assert.equal(call(client, 'http://web.shop/c'), "403 no-route from the server's sidecar");
  });
});

interface FilterChainJson {
  readonly name: string;
  readonly filters: readonly {
    readonly name: string;
    readonly typed_config: { readonly http_filters?: readonly { readonly name: string }[] };
  }[];
}
