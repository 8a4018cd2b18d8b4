/** A third judge, who reads TrafficTargets as they are written: what they allow is answered, and nothing else is. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compile } from '#mesh/compile.ts';
import type { MeshObjects, PodObject, ServiceObject, ServicePortObject } from '#mesh/objects.ts';
import { portProtocol } from '#mesh/protocols.ts';
import { meshOfModel, type Sidecar, type SimulatedMesh } from '#test/support/simulate/mesh.ts';
import { simulate } from '#test/support/simulate/simulate.ts';
import { meshes, requests } from '#test/unit/mesh/arbitrary-meshes.ts';
import { allowed } from './written.ts';

/** Services that nothing but TrafficTargets speaks of: no split, no problem, and an address of their own. */
function plainServices(objects: MeshObjects, problems: ReturnType<typeof compile>['problems']): ServiceObject[] {
  const divided = objects.trafficSplits.map(({ service }) => `a/${service.split('.')[0]}`);
  return objects.services.filter(
    ({ namespace, name, headless }) =>
      !headless &&
      !divided.includes(`${namespace}/${name}`) &&
      !problems.some(
        ({ object }) => object.kind === 'Service' && object.namespace === namespace && object.name === name,
      ),
  );
}

function podsBehind({ namespace, selector }: ServiceObject, pods: readonly PodObject[]): PodObject[] {
  return pods.filter((pod) => pod.namespace === namespace && pod.meshed && pod.labels['app'] === selector['app']);
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

function judge(objects: MeshObjects, mesh: SimulatedMesh, call: Call): void {
  const { from, service, port, asked } = call;
  const protocol = portProtocol(port) ?? 'http';
  const http = protocol.startsWith('tcp') ? undefined : { ...asked, host: `${service.name}.${service.namespace}` };
  const account = from.pod.account;
  const target = ({ namedPorts }: PodObject): number => namedPorts[port.targetPort] ?? Number(port.targetPort);
  const may = (pod: PodObject, over: Parameters<typeof allowed>[3]): boolean =>
    allowed(objects, account, pod.account, over);
  const reachable = podsBehind(service, objects.pods).filter((pod) =>
    may(pod, http === undefined ? target(pod) : 'http'),
  );
  const passing = http === undefined ? reachable : reachable.filter((pod) => may(pod, http));
  const address = service.clusterIPs[0] ?? '';
  const outcome = simulate(mesh, from, { address, port: port.port, ...(http === undefined ? {} : { http }) });
  const answered = outcome.flatMap(({ fate }) => (fate.kind === 'answered' ? [fate.pod] : []));
  const keys = passing.map(({ namespace, name }) => `${namespace}/${name}`);
  const what = `${account} calls ${service.namespace}/${service.name}:${port.port} ${JSON.stringify(http)}: ${JSON.stringify(outcome)}`;
  for (const pod of answered) assert.ok(keys.includes(pod), `${pod} must not answer: ${what}`);
  if (passing.length === reachable.length && passing.length > 0) {
    assert.equal(answered.length, outcome.length, `all must be answered: ${what}`);
  }
  if (passing.length === 0) assert.equal(answered.length, 0, `none must be answered: ${what}`);
}

interface Call {
  readonly from: Sidecar;
  readonly service: ServiceObject;
  readonly port: ServicePortObject;
  readonly asked: Asked;
}

describe('the policies as they are written', () => {
  it('decide every call to a service, HTTP and TCP', () => {
    let judged = 0;
    fc.assert(
      fc.property(meshes, fc.array(requests, { minLength: 2, maxLength: 4 }), (objects, all) => {
        const { model, problems } = compile(objects);
        const mesh = meshOfModel(model);
        for (const service of plainServices(objects, problems)) {
          if (podsBehind(service, objects.pods).length === 0) continue;
          for (const from of mesh.sidecars.values()) {
            for (const port of service.ports)
              for (const asked of all) judge(objects, mesh, { from, service, port, asked });
            judged += 1;
          }
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(judged > 40, `only ${judged} were judged`);
  });
});
