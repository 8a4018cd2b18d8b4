/** What every mesh holds to, down to the bytes that sidecars are sent. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compile, type CompileResult } from '#mesh/compile.ts';
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import { portProtocol } from '#mesh/protocols.ts';
import { meshOf, resourcesOfModel, type Sidecar } from '#test/support/simulate/mesh.ts';
import { endpointsOf } from '#test/support/simulate/simulate.ts';
import { kindOf, resourceJson } from '#test/support/static-config.ts';
import { meshes, permuted } from '#test/unit/mesh/arbitrary-meshes.ts';
import { allowed } from './written.ts';

/** Every resource of every pod's sidecar by pod, type and name, as bytes and version; and the problems. */
function everything({ model, problems }: CompileResult): unknown {
  const resourcesOf = resourcesOfModel(model);
  const pods = [...model.pods.values()].filter(({ meshed }) => meshed);
  const sidecars = pods.map((pod) => [
    `${pod.namespace}/${pod.name}`,
    resourcesOf(pod).map(({ type, name, hash, bytes }) => [type, name, hash, Buffer.from(bytes).toString('base64')]),
  ]);
  return { sidecars: Object.fromEntries(sidecars) as unknown, problems };
}

/** The lists of objects that something can be taken from. */
const LISTS = [
  ...(['services', 'endpointSlices', 'pods', 'nodes', 'namespaces'] as const),
  ...(['trafficTargets', 'httpRouteGroups', 'tcpRoutes', 'trafficSplits'] as const),
];

describe('the bytes of every sidecar', () => {
  it('do not depend on the order of the objects, nor do the problems', () => {
    fc.assert(
      fc.property(meshes, fc.nat(), (objects, seed) => {
        assert.deepEqual(everything(compile(permuted(objects, seed))), everything(compile(objects)));
      }),
      { numRuns: 60 },
    );
  });

  it('are the same again when any object is removed and put back, and whatever was compiled before', () => {
    fc.assert(
      fc.property(meshes, fc.constantFrom(...LISTS), fc.nat(), (objects, list, pick) => {
        const first = compile(objects);
        const before = everything(first);
        const all: readonly unknown[] = objects[list];
        const gone = all[pick % Math.max(1, all.length)];
        const rest = all.filter((entry) => entry !== gone);
        const without = compile({ ...objects, [list]: rest }, first.model);
        everything(without);
        const again = compile({ ...objects, [list]: gone === undefined ? rest : [...rest, gone] }, without.model);
        assert.deepEqual(everything(again), before);
      }),
      { numRuns: 60 },
    );
  });
});

/** Whether one may call the other at all. */
function knows(objects: MeshObjects, { account }: PodObject, to: PodObject): boolean {
  const ports = [80, 81, 82];
  return (['http', ...ports] as const).some((over) => allowed(objects, account, to.account, over));
}

describe('what a sidecar sees', () => {
  it('is no endpoint that it may not call, whatever targets and splits say', () => {
    fc.assert(
      fc.property(meshes, (objects) => {
        for (const sidecar of meshOf(objects).sidecars.values()) {
          for (const { service, protocol, endpoint } of endpoints(objects, sidecar)) {
            const pod = objects.pods.find(({ ips }) => ips.includes(endpoint.address));
            assert.ok(pod?.meshed, `${endpoint.address} of ${service} is no meshed pod`);
            const may = allowed(
              objects,
              sidecar.pod.account,
              pod.account,
              protocol === 'http' ? 'http' : endpoint.port,
            );
            const what = `${pod.account} at ${endpoint.address}:${endpoint.port} of ${service} (${protocol})`;
            assert.ok(may, `${sidecar.pod.account} sees ${what}`);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('of pods that it may not call is their addresses alone, where listeners and routes refuse them', () => {
    fc.assert(
      fc.property(meshes, (objects) => {
        for (const sidecar of meshOf(objects).sidecars.values()) {
          const strangers = objects.pods.filter((pod) => pod.meshed && !knows(objects, sidecar.pod, pod));
          for (const resource of sidecar.resources) {
            if (!['Cluster', 'ClusterLoadAssignment'].includes(kindOf(resource))) continue;
            const text = JSON.stringify(resourceJson(resource));
            for (const { name, ips, namespace, account } of strangers) {
              const [, accountName = ''] = account.split('/');
              assert.ok(!ips.some((ip) => text.includes(`"${ip}"`)), `${resource.name} tells of ${name}`);
              assert.ok(!text.includes(`/ns/${namespace}/sa/${accountName}"`), `${resource.name} expects ${account}`);
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

/** Endpoints by cluster, with what the service's port speaks. */
function endpoints(objects: MeshObjects, { config }: Sidecar) {
  return [...config.assignments.values()].flatMap((assignment) => {
    const [service = '', port] = assignment.clusterName.split('|');
    const object = objects.services.find(({ namespace, name }) => `${namespace}/${name}` === service);
    const found = object?.ports.find((entry) => entry.port === Number(port));
    assert.ok(found, `${assignment.clusterName} is of no service`);
    const protocol = ['http', 'http2', 'grpc'].includes(portProtocol(found) ?? '') ? 'http' : 'tcp';
    const all = { ...assignment, endpoints: assignment.endpoints.map((locality) => ({ ...locality, priority: 0 })) };
    return endpointsOf(all).map((endpoint) => ({ service, protocol, endpoint }));
  });
}
