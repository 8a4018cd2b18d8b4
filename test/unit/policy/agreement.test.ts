/** Two judges that share no code: `mesh/check.ts` reads the model, the simulation reads Envoy's bytes. They agree on every call. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Call, evaluate } from '#mesh/check.ts';
import { compile } from '#mesh/compile.ts';
import type { MeshObjects } from '#mesh/objects.ts';
import { judged } from '#test/support/judged.ts';
import { meshOfModel, proxyOf } from '#test/support/simulate/mesh.ts';
import { verdict } from '#test/support/simulate/say.ts';
import { simulate } from '#test/support/simulate/simulate.ts';
import { meshes, requests } from '#test/unit/mesh/arbitrary-meshes.ts';

/** What a pod could call: each service's addresses by its names, each pod's address, and one that is not the mesh's. */
function callsTo(objects: MeshObjects, request: Omit<NonNullable<Call['http']>, 'host'>): Call[] {
  const pods = objects.pods.flatMap(({ ips }) => ips);
  const byService = objects.services.flatMap(({ name, namespace, headless, clusterIPs }) => {
    const podNames = headless ? objects.pods.map(({ hostname }) => `${hostname}.${name}.${namespace}`) : [];
    return (headless ? pods : clusterIPs).flatMap((address) =>
      [name, `${name}.${namespace}`, address, ...podNames].map((host) => ({ address, host })),
    );
  });
  const others = [...pods, '192.0.2.1'].map((address) => ({ address, host: 'elsewhere' }));
  return [...byService, ...others].flatMap(({ address, host }) =>
    [80, 81].map((port) => ({ address, port, http: { host, ...request } })),
  );
}

describe('the model’s judge and the configuration’s judge', () => {
  it('agree on every call in random meshes', () => {
    fc.assert(
      fc.property(meshes, fc.array(requests, { minLength: 2, maxLength: 3 }), (objects, asked) => {
        const { model } = compile(objects);
        const mesh = meshOfModel(model);
        for (const from of mesh.sidecars.values()) {
          for (const call of asked.flatMap((request) => callsTo(objects, request))) {
            const byModel = judged(evaluate(model, proxyOf(model, from.pod), call));
            const byBytes = verdict(simulate(mesh, from, call));
            assert.equal(byBytes, byModel, `${from.pod.name} calls ${JSON.stringify(call)}`);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
