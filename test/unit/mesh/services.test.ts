import assert from 'node:assert/strict';
import { compile } from '#mesh/compile.ts';
import type { MeshObjects } from '#mesh/objects.ts';
import { portProtocol } from '#mesh/protocols.ts';
import { viewFor } from '#mesh/view-for.ts';
import { cluster, objects, pod, port, proxy, service, SETTINGS, slice } from './builders.ts';
import { call, connectTo, modelOf, problemKeys, requestTo } from './calls.ts';

const permissive = { ...SETTINGS, permissive: true };
const client = pod('buy/buyer', 'buyer');

function open(parts: Partial<MeshObjects>): MeshObjects {
  return cluster({ config: permissive, ...parts, pods: [client, ...(parts.pods ?? [])] });
}

describe('protocol of a port', () => {
  const cases: [name: string, appProtocol: string | undefined, expected: string | undefined][] = [
    ['', undefined, 'http'],
    ['bookstore-port', undefined, 'http'],
    ['tcp', undefined, 'tcp'],
    ['grpc', undefined, 'grpc'],
    ['tcp-echo', undefined, 'tcp'],
    ['tcp-server-first-mysql', undefined, 'tcp-server-first'],
    ['grpc-web', undefined, 'grpc'],
    ['tcpx', undefined, 'http'],
    ['http-x', 'tcp', 'tcp'],
    ['', 'kubernetes.io/h2c', 'http2'],
    ['', 'kubernetes.io/ws', 'http'],
    ['tcp-x', 'https', undefined],
    ['', 'constructor', undefined],
  ];
  for (const [name, appProtocol, expected] of cases) {
    it(`name "${name}", appProtocol ${appProtocol} → ${expected}`, () => {
      assert.equal(portProtocol({ name, appProtocol }), expected);
    });
  }
});

describe('services', () => {
  it('every form of a name is known, without its namespace only inside it; an address is a name too', () => {
    const web = service('shop/web', { clusterIPs: ['10.0.0.1', 'fd00::1'] });
    const server = pod('shop/web-1', 'web');
    const neighbour = pod('shop/other', 'other');
    const model = modelOf(open({ services: [web], pods: [server, neighbour] }));
    const hosts = [
      'web.shop',
      'web.shop.svc',
      'web.shop.svc.cluster',
      'web.shop.svc.cluster.local',
      '10.0.0.1',
      '[fd00::1]',
    ];
    for (const host of hosts.flatMap((name) => [name, `${name}:80`])) {
      assert.equal(call(model, client, requestTo(web, { host })), 'answered', host);
    }
    assert.equal(call(model, neighbour, requestTo(web, { host: 'web' })), 'answered');
    assert.equal(call(model, client, requestTo(web, { host: 'web' })), 'client:no-such-host');
    assert.equal(call(model, client, requestTo(web, { host: 'web.shop:81' })), 'client:no-such-host');
  });

  it('trap 7.3.20: the cluster domain is not hard coded', () => {
    const web = service('shop/web');
    const config = { ...permissive, clusterDomain: 'k8s.example' };
    const model = modelOf(open({ config, services: [web], pods: [pod('shop/web-1', 'web')] }));
    assert.equal(call(model, client, requestTo(web, { host: 'web.shop.svc.k8s.example' })), 'answered');
    assert.equal(call(model, client, requestTo(web, { host: 'web.shop.svc.cluster.local' })), 'client:no-such-host');
    assert.deepEqual(
      viewFor(model, proxy(client)).outbound.clusters.map(({ sni }) => sni),
      ['web.shop.svc.k8s.example'],
    );
  });

  it('scaled to zero it stays the mesh’s: 503 or closed, never plaintext', () => {
    const web = service('shop/web');
    const db = service('shop/db', { ports: [port(5432, { name: 'tcp' })] });
    const model = modelOf(open({ services: [web, db] }));
    assert.equal(call(model, client, requestTo(web)), 'unavailable');
    assert.equal(call(model, client, connectTo(db)), 'client:closed');
  });

  it('is not the mesh’s without a selector, or when no pod behind it has a sidecar', () => {
    const api = service('shop/api', { selector: {} });
    const plain = service('shop/plain');
    const external = service('shop/external', { type: 'ExternalName', clusterIPs: [] });
    const pods = [pod('shop/plain-1', 'plain', { meshed: false })];
    const objectsWith = open({ services: [api, plain, external], pods });
    const model = modelOf(objectsWith);
    assert.equal(model.services.size, 0);
    assert.equal(call(model, client, requestTo(plain)), 'passthrough');
    assert.equal(
      call(modelOf({ ...objectsWith, config: { ...permissive, egress: false } }), client, requestTo(plain)),
      'client:closed',
    );
    assert.deepEqual(problemKeys(objectsWith), []);
  });

  it('service-partly-meshed: only pods with a sidecar get traffic', () => {
    const web = service('shop/web');
    const pods = [pod('shop/web-1', 'web'), pod('shop/web-2', 'web', { meshed: false })];
    const parts = open({ services: [web], pods });
    assert.deepEqual(problemKeys(parts), ['service-partly-meshed']);
    const endpoints = modelOf(parts).services.get('shop/web')?.endpoints.get(80) ?? [];
    assert.deepEqual(
      endpoints.map(({ workload }) => workload.pod),
      ['web-1'],
    );
  });

  it('namespaces that the mesh does not watch have no services', () => {
    const web = service('shop/web');
    const parts = open({ services: [web], pods: [pod('shop/web-1', 'web')] });
    const model = modelOf({
      ...parts,
      namespaces: [
        { name: 'buy', monitored: true, acceptPlaintext: 'unset' },
        { name: 'shop', monitored: false, acceptPlaintext: 'unset' },
      ],
    });
    assert.equal(call(model, client, requestTo(web)), 'passthrough');
  });

  it('port-protocol-unknown costs that port only', () => {
    const web = service('shop/web', { ports: [port(80), port(443, { name: 'x', appProtocol: 'https' })] });
    const parts = open({ services: [web], pods: [pod('shop/web-1', 'web')] });
    assert.deepEqual(problemKeys(parts), ['port-protocol-unknown']);
    assert.equal(call(modelOf(parts), client, requestTo(web)), 'answered');
    assert.equal(call(modelOf(parts), client, requestTo(web, { port: 443 })), 'client:closed');
  });

  it("target-port-reserved: no Service leads to the sidecar's admin interface or back into its listeners", () => {
    for (const targetPort of [15000, 15001, 15003]) {
      const web = service('shop/web', { ports: [port(80), port(81, { name: 'x', targetPort })] });
      const parts = open({ services: [web], pods: [pod('shop/web-1', 'web')] });
      assert.deepEqual(problemKeys(parts), ['target-port-reserved']);
      assert.equal(call(modelOf(parts), client, requestTo(web)), 'answered');
      assert.equal(call(modelOf(parts), client, requestTo(web, { port: 81 })), 'client:closed');
    }
  });

  it('UDP ports are left alone', () => {
    const dns = service('shop/dns', { ports: [port(53, { protocol: 'UDP' }), port(53, { name: 'tcp-dns' })] });
    const model = modelOf(open({ services: [dns], pods: [pod('shop/dns-1', 'dns')] }));
    assert.deepEqual(
      model.services.get('shop/dns')?.ports.map(({ protocol }) => protocol),
      ['tcp'],
    );
    assert.equal(call(model, client, { address: dns.clusterIPs[0] ?? '', port: 53 }), 'answered');
  });

  it('a pod has its inbound chains before it is in any endpoints', () => {
    const web = service('shop/web', { ports: [port(80, { targetPort: 'http' })] });
    const server = pod('shop/web-1', 'web', { namedPorts: { http: 8080 } });
    const model = modelOf(objects({ config: permissive, services: [web], pods: [server] }));
    const chains = viewFor(model, proxy(server)).inbound.chains;
    assert.deepEqual(
      chains.map(({ name, targetPort }) => [name, targetPort]),
      [['shop/web.8080', 8080]],
    );
  });

  it('each service over a pod has its own chain, and all are told apart by port and server name', () => {
    const ports = [port(80, { targetPort: 8080 })];
    const all = service('shop/all', { selector: { app: 'web' }, ports });
    const web = service('shop/web', { ports: [...ports, port(81, { name: 'again', targetPort: 8080 })] });
    const server = pod('shop/web-1', 'web');
    const parts = open({ services: [all, web], pods: [server] });
    const chains = viewFor(modelOf(parts), proxy(server)).inbound.chains;
    assert.deepEqual(
      chains.map(({ name }) => name),
      ['shop/all.8080', 'shop/web.8080'],
    );
    assert.equal(new Set(chains.map(({ targetPort, sni }) => `${targetPort} ${sni}`)).size, chains.length);
    assert.equal(call(modelOf(parts), client, requestTo(web, { port: 81, host: 'web.shop:81' })), 'answered');
  });

  it('port-protocol-conflict: two protocols on one target port, the first one works', () => {
    const web = service('shop/web', {
      ports: [port(80, { targetPort: 8080 }), port(81, { name: 'tcp-x', targetPort: 8080 })],
    });
    const parts = open({ services: [web], pods: [pod('shop/web-1', 'web')] });
    assert.deepEqual(problemKeys(parts), ['port-protocol-conflict']);
    assert.equal(call(modelOf(parts), client, requestTo(web)), 'answered');
    assert.equal(call(modelOf(parts), client, { address: web.clusterIPs[0] ?? '', port: 81 }), 'client:closed');
  });

  it('a service without selector whose endpoints are meshed pods is the mesh’s', () => {
    const manual = service('shop/manual', { selector: {} });
    const server = pod('shop/web-1', 'web');
    const model = modelOf(open({ services: [manual], pods: [server], endpointSlices: [slice(manual, [server])] }));
    assert.equal(call(model, client, requestTo(manual)), 'answered');
  });
});

describe('headless services', () => {
  const ports = [port(3306, { name: 'tcp-db', targetPort: 13306 })];
  const stateful = { workload: { kind: 'StatefulSet', name: 'db' } };
  const one = pod('shop/db-0', 'db', stateful);
  const two = pod('shop/db-1', 'db', stateful);

  it('keep the address that the application resolved, on the target port', () => {
    const db = service('shop/db', { headless: true, ports });
    const model = modelOf(open({ services: [db], pods: [one, two] }));
    const [found] = viewFor(model, proxy(client)).outbound.clusters;
    assert.deepEqual(
      [found?.discovery, found?.targetPort, found?.sni],
      ['original-destination', 13306, 'db.shop.svc.cluster.local'],
    );
    for (const server of [one, two]) assert.equal(call(model, client, connectTo(db, server.ips[0])), 'answered');
    assert.equal(call(model, client, connectTo(db, '10.9.9.9')), 'passthrough');
  });

  it('trap 7.3.8: the name of one pod of a StatefulSet is known', () => {
    const web = service('shop/web', { headless: true, selector: { app: 'db' } });
    const model = modelOf(open({ services: [web], pods: [one, two] }));
    const address = two.ips[0] ?? '';
    for (const host of ['db-1.web.shop', 'db-1.web.shop.svc.cluster.local:80', 'web.shop', address, `${address}:80`]) {
      const what = { ...requestTo(web, { host }), address };
      assert.equal(call(model, client, what), 'answered', host);
    }
  });

  it('the hostname of a pod is its name there, where it is not the name of the pod', () => {
    const web = service('shop/web', { headless: true });
    const server = pod('shop/web-a1b2', 'web', { hostname: 'alpha' });
    const model = modelOf(open({ services: [web], pods: [server] }));
    const ask = (host: string): string =>
      call(model, client, { ...requestTo(web, { host }), address: server.ips[0] ?? '' });
    assert.equal(ask('alpha.web.shop'), 'answered');
    assert.equal(ask('web-a1b2.web.shop'), 'client:no-such-host');
  });

  it('several over the same pods and port: the oldest has the address, the other is reported', () => {
    const young = service('shop/a', { headless: true, selector: { app: 'db' }, ports });
    const old = {
      ...service('shop/b', { headless: true, selector: { app: 'db' }, ports }),
      created: '2025-01-01T00:00:00Z',
    };
    const parts = open({ services: [young, old], pods: [one] });
    assert.deepEqual(problemKeys(parts), ['headless-address-shared']);
    const { tcpServices } = viewFor(modelOf(parts), proxy(client)).outbound;
    assert.deepEqual(
      tcpServices.map(({ name }) => name),
      ['shop/b:3306'],
    );
  });

  it('several HTTP ones over the same pods and port: the Host decides, no domain stands twice', () => {
    const services = ['shop/a', 'shop/b'].map((key) => service(key, { headless: true, selector: { app: 'db' } }));
    const parts = open({ services, pods: [one] });
    assert.deepEqual(problemKeys(parts), []);
    const model = modelOf(parts);
    const hosts = viewFor(model, proxy(client)).outbound.httpPorts[0]?.routes.virtualHosts ?? [];
    const domains = hosts.flatMap((host) => host.domains);
    assert.equal(new Set(domains).size, domains.length);
    for (const of of services) {
      assert.equal(call(model, client, { ...requestTo(of), address: one.ips[0] ?? '' }), 'answered', of.name);
    }
  });

  it('a pod’s name that equals another service’s leaves the domain to the service', () => {
    const pods = service('web/db', { headless: true });
    const clash = service('db/db-0', { selector: { app: 'clash' } });
    const inWeb = pod('web/db-0', 'db', stateful);
    const parts = open({ services: [pods, clash], pods: [inWeb, pod('db/clash-1', 'clash')] });
    const hosts = viewFor(compile(parts).model, proxy(inWeb)).outbound.httpPorts[0]?.routes.virtualHosts ?? [];
    const owners = hosts.filter(({ domains }) => domains.includes('db-0.db')).map(({ name }) => name);
    assert.deepEqual(owners, ['db/db-0']);
  });
});
