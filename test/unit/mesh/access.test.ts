import assert from 'node:assert/strict';
import { evaluateServer } from '#mesh/check.ts';
import { compile } from '#mesh/compile.ts';
import { endpointsFor } from '#mesh/endpoints.ts';
import { viewFor } from '#mesh/view-for.ts';
import { cluster, group, pod, port, proxy, service, SETTINGS, target, tcpRoute } from './builders.ts';
import { call, connectTo, modelOf, problemKeys, requestTo } from './calls.ts';

describe('access by TrafficTarget', () => {
  const web = service('shop/web');
  const db = service('shop/db', { ports: [port(5432, { name: 'tcp-db', targetPort: 15432 })] });
  const server = pod('shop/web-1', 'web');
  const dbPod = pod('shop/db-1', 'db');
  const client = pod('buy/buyer', 'buyer');
  const stranger = pod('buy/thief', 'thief');
  const base = { services: [web, db], pods: [server, dbPod, client, stranger] };
  const routes = group(
    'shop/routes',
    { name: 'books', pathRegex: '/books', methods: ['GET'] },
    { name: 'any', pathRegex: '/any.*' },
  );

  it('permissive mode lets every meshed identity call every service', () => {
    const model = modelOf(cluster({ ...base, config: { ...SETTINGS, permissive: true } }));
    assert.equal(call(model, stranger, requestTo(web, { method: 'DELETE', path: '/x' })), 'answered');
    assert.equal(call(model, stranger, connectTo(db)), 'answered');
  });

  it('without a target nothing is allowed, on both sides, TCP too', () => {
    const model = modelOf(cluster(base));
    assert.equal(call(model, client, requestTo(web)), 'client:not-allowed');
    assert.equal(call(model, client, connectTo(db)), 'client:closed');
    const tcp = viewFor(model, proxy(dbPod)).inbound.chains[0]?.policy;
    assert.deepEqual(tcp, { kind: 'tcp', allowed: { kind: 'accounts', accounts: [] } });
    const bypassed = { address: '', port: 80, sni: 'web.shop.svc.cluster.local', source: client.account };
    const { inbound } = viewFor(model, proxy(server));
    const http = { host: 'web.shop', method: 'GET', path: '/books' };
    assert.equal(evaluateServer(inbound, { ...bypassed, http }).outcome, 'refused');
  });

  it('a target with HTTP rules allows its matches only, and its sources only', () => {
    const targets = [target('shop/t', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes/books')];
    const model = modelOf(cluster({ ...base, trafficTargets: targets, httpRouteGroups: [routes] }));
    assert.equal(call(model, client, requestTo(web, { path: '/books' })), 'answered');
    assert.equal(call(model, client, requestTo(web, { path: '/books/1' })), 'server:no-route');
    assert.equal(call(model, client, requestTo(web, { path: '/books', method: 'PUT' })), 'server:no-route');
    assert.equal(call(model, client, requestTo(web, { path: '/any' })), 'server:no-route');
    assert.equal(call(model, stranger, requestTo(web, { path: '/books' })), 'client:not-allowed');
  });

  it('a rule without matches means all matches of its group', () => {
    const targets = [target('shop/t', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes')];
    const model = modelOf(cluster({ ...base, trafficTargets: targets, httpRouteGroups: [routes] }));
    assert.equal(call(model, client, requestTo(web, { path: '/books' })), 'answered');
    assert.equal(call(model, client, requestTo(web, { path: '/anything', method: 'PUT' })), 'answered');
  });

  it('trap 7.3.3: a target with HTTP rules only opens no TCP port of the same account', () => {
    const pods = [pod('shop/web-1', 'web', { sa: 'one' }), pod('shop/db-1', 'db', { sa: 'one' }), client];
    const targets = [target('shop/t', ['buy/buyer'], 'shop/one', 'HTTPRouteGroup/routes')];
    const model = modelOf(cluster({ ...base, pods, trafficTargets: targets, httpRouteGroups: [routes] }));
    assert.equal(call(model, client, requestTo(web, { path: '/books' })), 'answered');
    assert.equal(call(model, client, connectTo(db)), 'client:closed');
  });

  it('a target with TCP rules only opens no HTTP service of the same account', () => {
    const pods = [pod('shop/web-1', 'web', { sa: 'one' }), pod('shop/db-1', 'db', { sa: 'one' }), client];
    const targets = [target('shop/t', ['buy/buyer'], 'shop/one', 'TCPRoute/any')];
    const model = modelOf(cluster({ ...base, pods, trafficTargets: targets, tcpRoutes: [tcpRoute('shop/any')] }));
    assert.equal(call(model, client, requestTo(web, { path: '/books' })), 'client:not-allowed');
    assert.equal(call(model, client, connectTo(db)), 'answered');
  });

  it('trap 7.3.3: a target with both kinds of rule does not need the HTTP port in its TCPRoute', () => {
    const pods = [pod('shop/web-1', 'web', { sa: 'one' }), pod('shop/db-1', 'db', { sa: 'one' }), client];
    const targets = [target('shop/t', ['buy/buyer'], 'shop/one', 'TCPRoute/db', 'HTTPRouteGroup/routes')];
    const parts = { trafficTargets: targets, httpRouteGroups: [routes], tcpRoutes: [tcpRoute('shop/db', 15432)] };
    const model = modelOf(cluster({ ...base, pods, ...parts }));
    assert.equal(call(model, client, requestTo(web, { path: '/books' })), 'answered');
    assert.equal(call(model, client, connectTo(db)), 'answered');
  });

  it('TCPRoute ports are target ports', () => {
    const allowed = (...ports: number[]): string => {
      const targets = [target('shop/t', ['buy/buyer'], 'shop/db', 'TCPRoute/db')];
      const model = modelOf(cluster({ ...base, trafficTargets: targets, tcpRoutes: [tcpRoute('shop/db', ...ports)] }));
      return call(model, client, connectTo(db));
    };
    assert.equal(allowed(15432), 'answered');
    assert.equal(allowed(), 'answered');
    assert.equal(allowed(5432), 'client:closed');
  });

  it('of a named port that differs between pods, a client sees the endpoints that a TCPRoute opens', () => {
    const named = service('shop/named', { ports: [port(5432, { name: 'tcp', targetPort: 'db' })] });
    const pods = [80, 82].map((db) => pod(`shop/named-${db}`, 'named', { namedPorts: { db } }));
    const seen = (...ports: number[]): (readonly number[])[] => {
      const targets = [target('shop/t', ['buy/buyer'], 'shop/named', 'TCPRoute/db')];
      const parts = { services: [named], pods: [...pods, client, stranger], trafficTargets: targets };
      const model = modelOf(cluster({ ...parts, tcpRoutes: [tcpRoute('shop/db', ...ports)] }));
      return viewFor(model, proxy(client)).outbound.clusters.map((found) =>
        endpointsFor(model, found, '').localities.flatMap(({ endpoints }) => endpoints.map((entry) => entry.port)),
      );
    };
    assert.deepEqual(seen(80), [[80]]);
    assert.deepEqual(seen(82), [[82]]);
    assert.deepEqual(seen(80, 82), [[80, 82]]);
    assert.deepEqual(seen(), [[80, 82]]);
    assert.deepEqual(seen(81), []);
  });

  it('two clients of the same accounts, but of other target ports, do not share what they see', () => {
    const named = service('shop/named', { ports: [port(5432, { name: 'tcp', targetPort: 'db' })] });
    const pods = [80, 82].map((db) => pod(`shop/named-${db}`, 'named', { namedPorts: { db } }));
    const trafficTargets = [
      target('shop/t1', ['buy/buyer'], 'shop/named', 'TCPRoute/one'),
      target('shop/t2', ['buy/thief'], 'shop/named', 'TCPRoute/two'),
    ];
    const tcpRoutes = [tcpRoute('shop/one', 80), tcpRoute('shop/two', 82)];
    const model = modelOf(cluster({ services: [named], pods: [...pods, client, stranger], trafficTargets, tcpRoutes }));
    const names = [client, stranger].map((from) => viewFor(model, proxy(from)).outbound.clusters[0]?.name);
    assert.notEqual(names[0], names[1]);
    assert.equal(call(model, client, connectTo(named)), 'answered');
    assert.equal(call(model, stranger, connectTo(named)), 'answered');
  });

  it('equal matches are one route, with the sources of both targets', () => {
    const targets = [
      target('shop/t1', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes/books'),
      target('shop/t2', ['buy/thief'], 'shop/web', 'HTTPRouteGroup/routes/books'),
    ];
    const model = modelOf(cluster({ ...base, trafficTargets: targets, httpRouteGroups: [routes] }));
    const policy = viewFor(model, proxy(server)).inbound.chains[0]?.policy;
    assert.ok(policy?.kind === 'http');
    assert.deepEqual(
      policy.routes.routes.map(({ allowed }) => allowed),
      [{ kind: 'accounts', accounts: ['buy/buyer', 'buy/thief'] }],
    );
  });

  it('a narrow match of one source takes nothing from a wide match of another', () => {
    const groups = [
      group('shop/narrow', { pathRegex: '/metrics' }),
      group('shop/wide', { pathRegex: '.*' }),
      group('shop/left', { pathRegex: '/a.*' }),
      group('shop/right', { pathRegex: '/.*b' }),
    ];
    const parts = (a: string, b: string) => ({
      httpRouteGroups: groups,
      trafficTargets: [
        target('shop/t1', ['buy/buyer'], 'shop/web', `HTTPRouteGroup/${a}`),
        target('shop/t2', ['buy/thief'], 'shop/web', `HTTPRouteGroup/${b}`),
      ],
    });
    const covered = modelOf(cluster({ ...base, ...parts('narrow', 'wide') }));
    assert.equal(call(covered, stranger, requestTo(web, { path: '/metrics' })), 'answered');
    assert.equal(call(covered, client, requestTo(web, { path: '/other' })), 'server:not-allowed');
    const overlapping = modelOf(cluster({ ...base, ...parts('left', 'right') }));
    for (const from of [client, stranger]) {
      assert.equal(call(overlapping, from, requestTo(web, { path: '/ab' })), 'answered');
    }
    assert.equal(call(overlapping, client, requestTo(web, { path: '/xb' })), 'server:not-allowed');
    assert.equal(call(overlapping, stranger, requestTo(web, { path: '/ax' })), 'server:not-allowed');
  });

  it('headers are all needed, and host means the authority', () => {
    const groups = [group('shop/routes', { headers: { 'client-app': 'buy.*', host: 'web\\.shop' } })];
    const targets = [target('shop/t', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes')];
    const model = modelOf(cluster({ ...base, trafficTargets: targets, httpRouteGroups: groups }));
    const headers = { 'client-app': 'buyer' };
    assert.equal(call(model, client, requestTo(web, { headers })), 'answered');
    assert.equal(call(model, client, requestTo(web)), 'server:no-route');
    assert.equal(call(model, client, requestTo(web, { headers, host: 'web.shop.svc' })), 'server:no-route');
  });

  it('trap 7.3.20: an account whose name has dots is one account', () => {
    const dotted = pod('buy/dotted', 'dotted', { sa: 'a.b' });
    const other = pod('buy/other', 'other', { sa: 'a' });
    const targets = [target('shop/t', ['buy/a.b'], 'shop/web', 'HTTPRouteGroup/routes')];
    const parts = { pods: [server, dotted, other], trafficTargets: targets, httpRouteGroups: [routes] };
    const model = modelOf(cluster({ ...base, ...parts }));
    assert.equal(call(model, dotted, requestTo(web, { path: '/books' })), 'answered');
    assert.equal(call(model, other, requestTo(web, { path: '/books' })), 'client:not-allowed');
  });

  it('of a service over several accounts a client sees only those it may call', () => {
    const second = pod('shop/web-2', 'web', { sa: 'web-2' });
    const targets = [target('shop/t', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes')];
    const parts = { pods: [server, second, client], trafficTargets: targets, httpRouteGroups: [routes] };
    const model = modelOf(cluster({ ...base, ...parts }));
    const clusters = viewFor(model, proxy(client)).outbound.clusters;
    assert.deepEqual(
      clusters.map(({ accounts }) => accounts),
      [['shop/web']],
    );
    assert.equal(call(model, client, requestTo(web, { path: '/books' })), 'answered');
  });

  it('a refusal says whom, and what would allow it', () => {
    const { outbound } = viewFor(modelOf(cluster(base)), proxy(stranger));
    const action = outbound.httpPorts[0]?.routes.virtualHosts[0]?.action;
    assert.ok(action?.kind === 'deny');
    for (const part of ['shop/web', 'TrafficTarget', 'namespace shop'])
      assert.ok(action.denial.message.includes(part), part);
  });

  describe('what is wrong is a problem, and allows nothing', () => {
    const good = target('shop/t', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes/books');
    const cases = [
      ['target-namespace-differs', { ...good, namespace: 'buy' }],
      ['target-kind-unknown', { ...good, destination: { ...good.destination, kind: 'User' } }],
      ['target-kind-unknown', { ...good, sources: [{ kind: 'Group', namespace: 'buy', name: 'buyer' }] }],
      ['target-without-rules', { ...good, rules: [] }],
      ['rule-kind-unknown', { ...good, rules: [...good.rules, { kind: 'UDPRoute', name: 'x', matches: [] }] }],
      ['route-missing', { ...good, rules: [{ kind: 'HTTPRouteGroup', name: 'none', matches: [] }] }],
      ['match-missing', { ...good, rules: [{ kind: 'HTTPRouteGroup', name: 'routes', matches: ['none'] }] }],
    ] as const;
    for (const [key, bad] of cases) {
      it(`${key}: ${JSON.stringify(bad.rules)}`, () => {
        const objects = cluster({ ...base, trafficTargets: [bad], httpRouteGroups: [routes] });
        const { model, problems } = compile(objects);
        assert.deepEqual(
          problems.map((problem) => problem.key),
          [key],
        );
        assert.equal(problems[0]?.object.kind, 'TrafficTarget');
        assert.notEqual(call(model, client, requestTo(web, { path: '/books' })), 'answered');
      });
    }

    // Envoy reads expressions as bytes: neither an escape above 255 nor a range that ends inside a character is one.
    for (const pathRegex of ['/(?=x)', '/(a|b|c){1,900}', '/\\x{100}', '/\\777', '/[\\x{e9}-é]']) {
      it(`regex-invalid: ${pathRegex} is skipped, the other matches stay`, () => {
        const objects = cluster({
          ...base,
          trafficTargets: [target('shop/t', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes/bad/good')],
          httpRouteGroups: [group('shop/routes', { name: 'bad', pathRegex }, { name: 'good', pathRegex: '/good' })],
        });
        assert.deepEqual(problemKeys(objects), ['regex-invalid']);
        assert.equal(call(modelOf(objects), client, requestTo(web, { path: '/good' })), 'answered');
      });
    }

    for (const [key, headers] of [
      ['regex-invalid', { agent: '' }],
      ['header-name-invalid', { 'a b\n': 'x' }],
    ] as const) {
      it(`${key}: a header that Envoy refuses is skipped, the other matches stay`, () => {
        const objects = cluster({
          ...base,
          trafficTargets: [target('shop/t', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes/bad/good')],
          httpRouteGroups: [group('shop/routes', { name: 'bad', headers }, { name: 'good', pathRegex: '/good' })],
        });
        assert.deepEqual(problemKeys(objects), [key]);
        assert.equal(call(modelOf(objects), client, requestTo(web, { path: '/good' })), 'answered');
        assert.notEqual(call(modelOf(objects), client, requestTo(web, { path: '/bad' })), 'answered');
      });
    }

    it('an empty path expression means every path, as it did in OSM, and escapes of one byte stay', () => {
      for (const pathRegex of ['', '/\\x{ff}?b\\\\?ooks']) {
        const objects = cluster({
          ...base,
          trafficTargets: [target('shop/t', ['buy/buyer'], 'shop/web', 'HTTPRouteGroup/routes')],
          httpRouteGroups: [group('shop/routes', { name: 'any', pathRegex })],
        });
        assert.deepEqual(problemKeys(objects), []);
        assert.equal(call(modelOf(objects), client, requestTo(web, { path: '/books' })), 'answered');
      }
    });
  });
});
