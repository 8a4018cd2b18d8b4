import assert from 'node:assert/strict';
import type { MeshObjects } from '#mesh/objects.ts';
import { cluster, group, pod, port, service, SETTINGS, split, target, tcpRoute } from './builders.ts';
import { call, connectTo, modelOf, requestTo, shares } from './calls.ts';

/** The sample application and its nine steps, as the walk-through of the demo shows them. */
describe('the bookstore, step by step', () => {
  const books = [port(14001, { name: 'bookstore-port' })];
  const root = service('bookstore/bookstore', { selector: { app: 'bookstore' }, ports: books });
  const v1 = service('bookstore/bookstore-v1', { selector: { app: 'bookstore', version: 'v1' }, ports: books });
  const v2 = service('bookstore/bookstore-v2', { selector: { app: 'bookstore', version: 'v2' }, ports: books });
  const warehouse = service('bookwarehouse/bookwarehouse', { ports: [port(14001)] });
  const mysql = service('bookwarehouse/mysql', {
    headless: true,
    ports: [port(3306, { appProtocol: 'tcp-server-first' })],
  });

  const buyer = pod('bookbuyer/bookbuyer-1', 'bookbuyer');
  const thief = pod('bookthief/bookthief-1', 'bookthief');
  const store = (version: string, sa: string) =>
    pod(`bookstore/bookstore-${version}-1`, 'bookstore', { sa, labels: { app: 'bookstore', version } });
  const storeV1 = store('v1', 'bookstore');
  const storeV2 = store('v2', 'bookstore-v2');
  const warehousePod = pod('bookwarehouse/bookwarehouse-1', 'bookwarehouse');
  const mysqlPod = pod('bookwarehouse/mysql-0', 'mysql', { workload: { kind: 'StatefulSet', name: 'mysql' } });

  const routes = group(
    'bookstore/bookstore-service-routes',
    {
      name: 'books-bought',
      pathRegex: '/books-bought',
      methods: ['GET'],
      headers: { 'user-agent': '.*-http-client/*.*', 'client-app': 'bookbuyer' },
    },
    { name: 'buy-a-book', pathRegex: '.*a-book.*new', methods: ['GET'] },
  );
  const restock = group('bookwarehouse/bookwarehouse-service-routes', {
    name: 'restock-books',
    pathRegex: '/restock-books',
    methods: ['POST'],
  });
  const storeRules = ['HTTPRouteGroup/bookstore-service-routes/buy-a-book/books-bought'];
  const stores = ['bookstore/bookstore', 'bookstore/bookstore-v2'];
  const access = {
    httpRouteGroups: [routes, restock],
    tcpRoutes: [tcpRoute('bookwarehouse/mysql', 3306)],
    trafficTargets: [
      target('bookstore/bookstore', ['bookbuyer/bookbuyer'], 'bookstore/bookstore', ...storeRules),
      target('bookstore/bookstore-v2', ['bookbuyer/bookbuyer'], 'bookstore/bookstore-v2', ...storeRules),
      target(
        'bookwarehouse/bookstore-access-bookwarehouse',
        stores,
        'bookwarehouse/bookwarehouse',
        'HTTPRouteGroup/bookwarehouse-service-routes/restock-books',
      ),
      target('bookwarehouse/mysql', ['bookwarehouse/bookwarehouse'], 'bookwarehouse/mysql', 'TCPRoute/mysql'),
    ],
  };
  const first = { services: [root, v1, warehouse, mysql], pods: [buyer, thief, storeV1, warehousePod, mysqlPod] };
  const both = { services: [...first.services, v2], pods: [...first.pods, storeV2] };
  const allowThief = target(
    'bookstore/bookstore',
    ['bookbuyer/bookbuyer', 'bookthief/bookthief'],
    'bookstore/bookstore',
    ...storeRules,
  );
  const divided = (one: number, two: number) => ({
    ...both,
    ...access,
    trafficSplits: [
      split('bookstore/bookstore-split', 'bookstore.bookstore', { 'bookstore-v1': one, 'bookstore-v2': two }),
    ],
  });

  const goHeaders = { 'user-agent': 'Go-http-client/1.1', 'client-app': 'bookbuyer' };
  const bought = requestTo(root, { path: '/books-bought', headers: goHeaders });
  const buy = requestTo(root, { path: '/buy-a-book/new', headers: goHeaders });

  interface Step {
    readonly title: string;
    readonly objects: Partial<MeshObjects>;
    /** Share of the buyer's calls that each version answers. */
    readonly buyer: readonly [v1: number, v2: number];
    readonly thief: boolean;
    readonly warehouse: boolean;
  }
  const steps: Step[] = [
    {
      title: '1 permissive mode',
      objects: { ...first, config: { ...SETTINGS, permissive: true } },
      buyer: [1, 0],
      thief: true,
      warehouse: true,
    },
    { title: '2 policies asked for, none there', objects: first, buyer: [0, 0], thief: false, warehouse: false },
    { title: '3 access policies', objects: { ...first, ...access }, buyer: [1, 0], thief: false, warehouse: true },
    {
      title: '4 the thief is allowed',
      objects: { ...first, ...access, trafficTargets: [allowThief, ...access.trafficTargets.slice(1)] },
      buyer: [1, 0],
      thief: true,
      warehouse: true,
    },
    { title: '5 and no longer', objects: { ...first, ...access }, buyer: [1, 0], thief: false, warehouse: true },
    {
      title: '6 a second version behind the root service',
      objects: { ...both, ...access },
      buyer: [0.5, 0.5],
      thief: false,
      warehouse: true,
    },
    { title: '7 split 100/0', objects: divided(100, 0), buyer: [1, 0], thief: false, warehouse: true },
    { title: '8 split 50/50', objects: divided(50, 50), buyer: [0.5, 0.5], thief: false, warehouse: true },
    { title: '9 split 0/100', objects: divided(0, 100), buyer: [0, 1], thief: false, warehouse: true },
  ];

  for (const step of steps) {
    it(step.title, () => {
      const model = modelOf(cluster(step.objects));
      for (const request of [bought, buy]) {
        const seen = shares(model, buyer, request);
        assert.deepEqual([seen['bookstore/bookstore'] ?? 0, seen['bookstore/bookstore-v2'] ?? 0], step.buyer);
        assert.equal(call(model, thief, request), step.thief ? 'answered' : 'client:not-allowed');
      }
      const supply = call(model, storeV1, requestTo(warehouse, { path: '/restock-books', method: 'POST' }));
      assert.equal(supply, step.warehouse ? 'answered' : 'client:not-allowed');
      const database = call(model, warehousePod, connectTo(mysql, mysqlPod.ips[0]));
      assert.equal(database, step.warehouse ? 'answered' : 'client:closed');
    });
  }
});
