import assert from 'node:assert/strict';
import type { MeshObjects } from '#mesh/objects.ts';
import { viewFor } from '#mesh/view-for.ts';
import { cluster, group, pod, port, proxy, service, SETTINGS, split, target } from './builders.ts';
import { call, connectTo, modelOf, problemKeys, requestTo, shares } from './calls.ts';

const client = pod('buy/buyer', 'buyer');
const root = service('shop/root', { selector: { app: 'web' } });
const one = service('shop/one', { selector: { app: 'web', v: '1' } });
const two = service('shop/two', { selector: { app: 'web', v: '2' } });
const podOne = pod('shop/web-1', 'web', { sa: 'one', labels: { app: 'web', v: '1' } });
const podTwo = pod('shop/web-2', 'web', { sa: 'two', labels: { app: 'web', v: '2' } });
const base = { services: [root, one, two], pods: [client, podOne, podTwo], config: { ...SETTINGS, permissive: true } };

function withSplits(...trafficSplits: MeshObjects['trafficSplits']): MeshObjects {
  return cluster({ ...base, trafficSplits });
}

describe('traffic splits', () => {
  for (const apex of ['root', 'root.shop', 'root.shop.svc', 'root.shop.svc.cluster.local']) {
    it(`trap 7.3.8: the apex may be written ${apex}`, () => {
      const model = modelOf(withSplits(split('shop/s', apex, { one: 1, two: 3 })));
      assert.deepEqual(shares(model, client, requestTo(root)), { 'shop/one': 0.25, 'shop/two': 0.75 });
    });
  }

  it('backends stay reachable by their own names, undivided', () => {
    const model = modelOf(withSplits(split('shop/s', 'root', { one: 1, two: 3 })));
    assert.deepEqual(shares(model, client, requestTo(two)), { 'shop/two': 1 });
  });

  it('trap 7.3.7: a weight of 0 is left out; only zeros leave nothing to answer', () => {
    const ports = [port(80, { name: 'tcp' })];
    const services = [root, one, two].map((of) => ({ ...of, ports }));
    const parts = (weight: number) =>
      modelOf(cluster({ ...base, services, trafficSplits: [split('shop/s', 'root', { one: 0, two: weight })] }));
    assert.deepEqual(shares(parts(1), client, connectTo(root)), { 'shop/two': 1 });
    assert.equal(
      viewFor(parts(1), proxy(client)).outbound.tcpServices.find(({ name }) => name === 'shop/root:80')?.backends
        .length,
      1,
    );
    assert.equal(call(parts(0), client, connectTo(root)), 'client:closed');
    const http = modelOf(withSplits(split('shop/s', 'root', { one: 0 })));
    assert.equal(call(http, client, requestTo(root)), 'unavailable');
  });

  it('a backend knows the apex’s names at weight 0 too: weights change nothing for any server', () => {
    const inbound = (weights: Record<string, number>) => {
      const model = modelOf(withSplits(split('shop/s', 'root', weights)));
      return [podOne, podTwo].map((of) => viewFor(model, proxy(of)).inbound);
    };
    const [first] = inbound({ one: 0, two: 100 });
    const chain = first?.chains.find(({ name }) => name === 'shop/one.80');
    assert.ok(chain?.policy.kind === 'http' && chain.policy.routes.domains.includes('root.shop'));
    const keys = (weights: Record<string, number>): string[] => inbound(weights).map(({ key }) => key);
    assert.deepEqual(keys({ one: 0, two: 100 }), keys({ one: 50, two: 50 }));
    assert.notDeepEqual(keys({ one: 0, two: 100 }), keys({ two: 100 }), 'one that is not named does not know them');
  });

  it('weights that come to more than Envoy can add keep their proportions', () => {
    const weights = { one: 3_000_000_000, two: 1_000_000_000 };
    const model = modelOf(withSplits(split('shop/s', 'root', weights)));
    const found = shares(model, client, requestTo(root));
    assert.deepEqual(found, { 'shop/one': 0.75, 'shop/two': 0.25 });
    const [port] = viewFor(model, proxy(client)).outbound.httpPorts;
    const action = port?.routes.virtualHosts.find(({ name }) => name === 'shop/root')?.action;
    assert.ok(action?.kind === 'forward');
    const sum = action.routes[0]?.backends.reduce((all, { weight }) => all + weight, 0);
    assert.ok(sum !== undefined && sum <= 0xffff_ffff);
  });

  it('an apex may be its own backend, and one account may stand behind all backends', () => {
    const model = modelOf(withSplits(split('shop/s', 'one', { one: 1, two: 1 })));
    assert.deepEqual(shares(model, client, requestTo(one)), { 'shop/one': 0.5, 'shop/two': 0.5 });
    const same = [podOne, podTwo].map((of) => ({ ...of, account: 'shop/web' as const }));
    const shared = cluster({
      ...base,
      pods: [client, ...same],
      trafficSplits: [split('shop/s', 'root', { one: 1, two: 1 })],
    });
    assert.deepEqual(shares(modelOf(shared), client, requestTo(root)), { 'shop/web': 1 });
  });

  it('an apex needs no pods of its own', () => {
    const empty = service('shop/empty', { selector: {} });
    const model = modelOf(
      cluster({ ...base, services: [...base.services, empty], trafficSplits: [split('shop/s', 'empty', { one: 1 })] }),
    );
    assert.deepEqual(shares(model, client, requestTo(empty)), { 'shop/one': 1 });
  });

  it('a client sees only the backends that it may call', () => {
    const model = modelOf(
      cluster({
        ...base,
        config: SETTINGS,
        trafficSplits: [split('shop/s', 'root', { one: 1, two: 1 })],
        httpRouteGroups: [group('shop/g', {})],
        trafficTargets: [target('shop/t', ['buy/buyer'], 'shop/two', 'HTTPRouteGroup/g')],
      }),
    );
    assert.deepEqual(shares(model, client, requestTo(root)), { 'shop/two': 1 });
    assert.equal(call(model, podTwo, requestTo(root)), 'client:not-allowed');
  });

  it('a headless service as apex or backend is balanced over endpoints, its pods’ names are not divided', () => {
    const stateful = pod('shop/web-0', 'db', { sa: 'one', workload: { kind: 'StatefulSet', name: 'web' } });
    const apex = service('shop/db', { headless: true });
    const parts = {
      services: [apex, two],
      pods: [client, stateful, podTwo],
      trafficSplits: [split('shop/s', 'db', { db: 1, two: 1 })],
    };
    const model = modelOf(cluster({ ...base, ...parts }));
    const address = stateful.ips[0] ?? '';
    assert.deepEqual(shares(model, client, { ...requestTo(apex), address }), { 'shop/one': 0.5, 'shop/two': 0.5 });
    const byPod = { ...requestTo(apex, { host: 'web-0.db.shop' }), address };
    assert.deepEqual(shares(model, client, byPod), { 'shop/one': 1 });
  });

  it('v1alpha4 matches: what meets them is divided, the rest goes to the apex', () => {
    const groups = [group('shop/beta', { headers: { 'x-beta': '1' } })];
    const conditional = split('shop/s', 'root', { two: 1 }, { matches: [{ kind: 'HTTPRouteGroup', name: 'beta' }] });
    const model = modelOf(cluster({ ...base, httpRouteGroups: groups, trafficSplits: [conditional] }));
    assert.deepEqual(shares(model, client, requestTo(root, { headers: { 'x-beta': '1' } })), { 'shop/two': 1 });
    assert.deepEqual(shares(model, client, requestTo(root)), { 'shop/one': 0.5, 'shop/two': 0.5 });
  });

  it('matches that do not exist divide nothing, and are a problem', () => {
    const conditional = split('shop/s', 'root', { two: 1 }, { matches: [{ kind: 'HTTPRouteGroup', name: 'none' }] });
    assert.deepEqual(problemKeys(withSplits(conditional)), ['route-missing']);
    assert.deepEqual(shares(modelOf(withSplits(conditional)), client, requestTo(root)), {
      'shop/one': 0.5,
      'shop/two': 0.5,
    });
  });

  describe('what is wrong is a problem, and the rest of the split works', () => {
    const wrong: [key: string, backend: string, services: MeshObjects['services']][] = [
      ['split-backend-missing', 'none', []],
      ['split-backend-port-missing', 'other', [service('shop/other', { ports: [port(81)] })]],
      ['split-backend-protocol', 'other', [service('shop/other', { ports: [port(80, { name: 'tcp' })] })]],
    ];
    for (const [key, backend, extra] of wrong) {
      it(key, () => {
        const trafficSplits = [split('shop/s', 'root', { one: 50, [backend]: 50 })];
        const objects = cluster({ ...base, services: [...base.services, ...extra], trafficSplits });
        assert.deepEqual(problemKeys(objects), [key]);
        assert.deepEqual(shares(modelOf(objects), client, requestTo(root)), { 'shop/one': 1 });
      });
    }

    it('split-apex-taken: the oldest wins', () => {
      const old = { ...split('shop/z', 'root.shop', { two: 1 }), created: '2025-01-01T00:00:00Z' };
      const objects = withSplits(split('shop/a', 'root', { one: 1 }), old);
      assert.deepEqual(problemKeys(objects), ['split-apex-taken']);
      assert.deepEqual(shares(modelOf(objects), client, requestTo(root)), { 'shop/two': 1 });
    });

    it('split-apex-missing and split-apex-invalid: another namespace’s service cannot be taken', () => {
      assert.deepEqual(problemKeys(withSplits(split('shop/s', 'none', { one: 1 }))), ['split-apex-missing']);
      const objects = withSplits(split('buy/s', 'root.shop', { buyer: 1 }));
      assert.deepEqual(problemKeys(objects), ['split-apex-invalid']);
      assert.deepEqual(shares(modelOf(objects), client, requestTo(root)), { 'shop/one': 0.5, 'shop/two': 0.5 });
    });
  });
});
