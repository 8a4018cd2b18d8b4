import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compile } from '#mesh/compile.ts';
import { endpointsFor } from '#mesh/endpoints.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { PodObject } from '#mesh/objects.ts';
import { reaches } from '#mesh/access.ts';
import { updateEndpoints } from '#mesh/update-endpoints.ts';
import { viewFor } from '#mesh/view-for.ts';
import type { ProxyView } from '#mesh/view.ts';
import { meshes, permuted } from './arbitrary-meshes.ts';
import { cluster, pod, proxy, service, SETTINGS, slice, target } from './builders.ts';
import { largeMesh } from './large.ts';

/** Everything that a sidecar is given, as data. */
function seen(model: MeshModel, of: PodObject) {
  const view = viewFor(model, proxy(of));
  return { view, endpoints: view.outbound.clusters.map((entry) => endpointsFor(model, entry, 'a')) };
}

describe('what every mesh holds to', () => {
  it('the order of the input changes nothing', () => {
    fc.assert(
      fc.property(meshes, fc.nat(), (objects, seed) => {
        const [a, b] = [compile(objects), compile(permuted(objects, seed))];
        assert.deepEqual(a.problems, b.problems);
        for (const of of objects.pods) assert.deepEqual(seen(a.model, of), seen(b.model, of));
      }),
    );
  });

  it('after a removal and its undoing every part is the same object again', () => {
    fc.assert(
      fc.property(meshes, (objects) => {
        const before = compile(objects).model;
        const views = objects.pods.map((of) => viewFor(before, proxy(of)));
        const without = compile({ ...objects, services: objects.services.slice(1), trafficTargets: [] }, before).model;
        for (const of of objects.pods) viewFor(without, proxy(of));
        const after = compile(objects, without).model;
        for (const [index, of] of objects.pods.entries()) {
          const view = viewFor(after, proxy(of));
          assert.equal(view.outbound, views[index]?.outbound);
          assert.equal(view.inbound, views[index]?.inbound);
        }
      }),
    );
  });

  it('no policy lets a client see an endpoint of an account that it may not call', () => {
    fc.assert(
      fc.property(meshes, (objects) => {
        const { model } = compile(objects);
        for (const of of objects.pods) {
          const { view, endpoints } = seen(model, of);
          for (const [index, found] of view.outbound.clusters.entries()) {
            const ports = model.services.get(`${found.namespace}/${found.service}`)?.ports;
            const target = ports?.find(({ port }) => port === found.port);
            assert.ok(target !== undefined && found.accounts.length > 0);
            for (const account of found.accounts) assert.ok(reaches(model.access, of.account, account, target));
            for (const { workload } of endpoints[index]?.localities.flatMap((entry) => entry.endpoints) ?? []) {
              const server = model.pods.get(`${workload.namespace}/${workload.pod}`);
              assert.ok(server !== undefined && server.meshed && found.accounts.includes(server.account));
            }
          }
        }
      }),
    );
  });

  it('no sidecar is given what Envoy refuses: chains, domains, addresses and names stand once, clusters exist', () => {
    fc.assert(
      fc.property(meshes, (objects) => {
        const { model } = compile(objects);
        for (const of of objects.pods) assertWellFormed(viewFor(model, proxy(of)));
      }),
      { numRuns: 300 },
    );
  });
});

function assertWellFormed({ outbound, inbound }: ProxyView): void {
  const once = (values: readonly string[], what: string): void =>
    assert.equal(new Set(values).size, values.length, `${what}: ${values.join(' ')}`);
  const at = ({ port: number, addresses }: { port: number; addresses: readonly string[] }): string[] =>
    addresses.map((address) => `${address}:${number}`);
  once([...outbound.httpPorts, ...outbound.tcpServices, ...outbound.closedTcp].flatMap(at), 'addresses');
  once(
    outbound.clusters.map(({ name }) => name),
    'clusters',
  );
  once(
    inbound.chains.map(({ targetPort, sni }) => `${targetPort} ${sni}`),
    'chains',
  );
  // A plaintext port stands beside mTLS, never alone, and once.
  const open = inbound.plaintext.map(({ targetPort }) => String(targetPort));
  once(open, 'plaintext ports');
  for (const targetPort of open) assert.ok(inbound.chains.some((chain) => String(chain.targetPort) === targetPort));
  const names = new Set(outbound.clusters.map(({ name }) => name));
  const used = outbound.tcpServices.flatMap(({ backends }) => backends);
  for (const { routes } of outbound.httpPorts) {
    once(
      routes.virtualHosts.flatMap(({ domains }) => domains),
      'domains',
    );
    once(
      routes.virtualHosts.map(({ name }) => name),
      'virtual hosts',
    );
    for (const { action } of routes.virtualHosts) {
      if (action.kind === 'deny') continue;
      assert.equal(action.routes.at(-1)?.match, undefined);
      used.push(...action.routes.flatMap(({ backends }) => backends));
    }
  }
  for (const { cluster: name, weight } of used) assert.ok(names.has(name) && weight > 0, name);
  for (const { backends, addresses } of outbound.tcpServices) assert.ok(backends.length > 0 && addresses.length > 0);
}

describe('a change costs what it concerns', () => {
  const size = { namespaces: 4, services: 40, podsEach: 2, targets: 40, splits: 2 };

  it('one TrafficTarget more changes the outbound of its source and the inbound of its destination, no other', () => {
    const objects = largeMesh(size, false);
    const before = compile(objects).model;
    const views = objects.pods.map((of) => viewFor(before, proxy(of)));
    const added = target('ns-0/new', ['ns-3/app-3'], 'ns-0/app-4', 'HTTPRouteGroup/routes');
    const after = compile({ ...objects, trafficTargets: [...objects.trafficTargets, added] }, before).model;
    const changed = objects.pods.flatMap((of, index) => {
      const view = viewFor(after, proxy(of));
      const sides = (['outbound', 'inbound'] as const).filter((side) => view[side] !== views[index]?.[side]);
      return sides.map((side) => `${of.account} ${side}`);
    });
    assert.deepEqual([...new Set(changed)].sort(), ['ns-0/app-4 inbound', 'ns-3/app-3 outbound']);
  });

  it('one endpoint less changes the assignment of its service, and no view', () => {
    const objects = largeMesh(size, true);
    const { model } = compile(objects);
    const from = objects.pods[0];
    const changed = objects.services[7];
    assert.ok(from !== undefined && changed !== undefined);
    const before = seen(model, from);
    const left = objects.pods
      .filter((of) => of.namespace === changed.namespace && of.labels['app'] === changed.name)
      .slice(1);
    const slices = [slice(changed, left)];
    const update = updateEndpoints(model, { namespace: changed.namespace, service: changed.name, slices });
    assert.ok(update.kind === 'endpoints');
    const after = seen(update.model, from);
    assert.equal(after.view.outbound, before.view.outbound);
    const different = after.endpoints.filter((assignment, index) => assignment !== before.endpoints[index]);
    assert.deepEqual(
      different.map(({ cluster: name }) => name.split('|')[0]),
      [`${changed.namespace}/${changed.name}`],
    );
    assert.deepEqual(
      different[0]?.localities.flatMap(({ endpoints }) => endpoints.map(({ workload }) => workload.pod)),
      [left[0]?.name],
    );
  });

  it('the short path gives what a compile gives, or says that it cannot', () => {
    fc.assert(
      fc.property(meshes, fc.nat(), fc.boolean(), (objects, pick, ready) => {
        const changed = objects.services[pick % Math.max(1, objects.services.length)];
        if (changed === undefined) return;
        const next = objects.endpointSlices
          .filter((entry) => entry.namespace === changed.namespace && entry.service === changed.name)
          .map((entry) => ({
            ...entry,
            endpoints: entry.endpoints.map((endpoint) => ({ ...endpoint, ready })).slice(pick % 2),
          }));
        const others = objects.endpointSlices.filter(
          (entry) => entry.namespace !== changed.namespace || entry.service !== changed.name,
        );
        const { model } = compile(objects);
        const update = updateEndpoints(model, { namespace: changed.namespace, service: changed.name, slices: next });
        if (update.kind === 'recompile') return;
        const full = compile({ ...objects, endpointSlices: [...others, ...next] }).model;
        for (const of of objects.pods) assert.deepEqual(seen(update.model, of), seen(full, of));
      }),
      { numRuns: 300 },
    );
  });
});

describe('endpoints by zone', () => {
  const web = service('a/web');
  const pods = ['1', '2'].map((name) => pod(`a/${name}`, 'web', { node: `node-${name}` }));
  const nodes = ['1', '2'].map((name) => ({ name: `node-${name}`, zone: `zone-${name}` }));
  const { model } = compile(cluster({ services: [web], pods, nodes, config: { ...SETTINGS, permissive: true } }));
  const priorities = (zone: string) => {
    const found = viewFor(model, proxy(pods[0] ?? pod('a/none', 'none'))).outbound.clusters[0];
    assert.ok(found !== undefined);
    return endpointsFor(model, found, zone).localities.map((entry) => [entry.zone, entry.priority]);
  };

  it('the client’s own comes first, the others take over', () => {
    assert.deepEqual(priorities('zone-2'), [
      ['zone-2', 0],
      ['zone-1', 1],
    ]);
  });

  it('where it has none, or its zone is unknown, all are equal', () => {
    assert.deepEqual(priorities('zone-3'), [
      ['zone-1', 0],
      ['zone-2', 0],
    ]);
    assert.deepEqual(priorities(''), [
      ['zone-1', 0],
      ['zone-2', 0],
    ]);
  });
});
