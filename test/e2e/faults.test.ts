/** What happens when a part is away: controller, operator, API server, injector. */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { lab } from './support/lab.ts';
import { namespace, TOOLS_IMAGE, workload } from './support/manifests.ts';

const NS = 'faults';
const POD = (name: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: NS },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      { name: 'app', image: TOOLS_IMAGE, command: ['sh', '-c', 'echo the application runs; sleep infinity'] },
    ],
  },
});

describe('faults', () => {
  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true)]);
    await lab.apply([
      ...workload({
        namespace: NS,
        name: 'server',
        command: ['node', '/programs/http-server.mjs', '8080'],
        ports: [{ name: 'http', port: 8080 }],
        readiness: '/',
      }),
      ...workload({ namespace: NS, name: 'client', command: ['sleep', 'infinity'] }),
    ]);
    await lab.rolledOut(NS, 'server', 'client');
    await eventually(
      'client reaches server',
      async () => (await lab.curl(NS, 'client', 'http://server:8080/')).status === 200,
    );
  });

  it('the controller restarts while a client calls, and no request fails', async () => {
    const load = await lab.load(NS, 'client', 'http://server:8080/', {
      method: 'POST',
      seconds: 45,
      workers: 4,
      pauseMs: 10,
    });
    await lab.kubectl(['rollout', 'restart', '-n', 'osm-system', 'deployment/osm-controller']);
    await lab.rolledOut('osm-system', 'osm-controller');
    const report = await load.finish();
    assert.deepEqual(report.errors, {});
    assert.deepEqual(Object.keys(report.statuses), ['200'], JSON.stringify(report));
  });

  it('the operator restarts in the middle of a rollout and completes it', async () => {
    await lab.patchMeshConfig({ spec: { controlPlane: { injector: { replicas: 3 } } } });
    await lab.kubectl(['delete', 'pod', '-n', 'osm-system', '-l', 'app=osm-operator', '--now']);
    await lab.rolledOut('osm-system', 'osm-operator');
    await eventually('the third injector runs', async () => {
      const deployment = await lab.json<{ status: { readyReplicas?: number } }>([
        'get',
        'deployment',
        '-n',
        'osm-system',
        'osm-injector',
      ]);
      return deployment.status.readyReplicas === 3;
    });
    await lab.patchMeshConfig({ spec: { controlPlane: { injector: { replicas: 2 } } } });
    await lab.meshIsReady();
  });

  it('a pod started while no controller runs waits, and its application does not run', async () => {
    await lab.pauseOperator();
    await lab.scale('osm-system', 'osm-controller', 0);
    await lab.apply([POD('waiting')]);
    await eventually('the sidecar of the waiting pod runs', async () => {
      const pod = await lab.json<PodStatus>(['get', 'pod', '-n', NS, 'waiting']);
      return pod.status.initContainerStatuses?.find((status) => status.name === 'envoy')?.state.running !== undefined;
    });
    const pod = await lab.json<PodStatus>(['get', 'pod', '-n', NS, 'waiting']);
    assert.equal(pod.status.containerStatuses?.[0]?.state.running, undefined, 'the application must not run yet');
    await lab.scale('osm-system', 'osm-controller', 2);
    await lab.resumeOperator();
    await lab.kubectl(['wait', '-n', NS, 'pod/waiting', '--for=condition=Ready', '--timeout=60s']);
    await lab.kubectl(['delete', 'pod', '-n', NS, 'waiting', '--now']);
  });

  it('with the injector away, a pod of a meshed namespace is refused, and comes in when it is back', async () => {
    await lab.pauseOperator();
    await lab.scale('osm-system', 'osm-injector', 0);
    const refusal = await eventually('the pod is refused', async () => {
      const { code, stderr } = await lab.run(['apply', '-f', '-'], { input: JSON.stringify(POD('refused')) });
      if (code !== 0) return stderr;
      await lab.kubectl(['delete', 'pod', '-n', NS, 'refused', '--now']);
      return undefined;
    });
    assert.match(refusal, /osm|webhook/);
    await lab.scale('osm-system', 'osm-injector', 2);
    await lab.resumeOperator();
    await eventually(
      'the pod is admitted',
      async () => (await lab.run(['apply', '-f', '-'], { input: JSON.stringify(POD('refused')) })).code === 0,
    );
    await lab.kubectl(['wait', '-n', NS, 'pod/refused', '--for=condition=Ready', '--timeout=60s']);
    await lab.kubectl(['delete', 'pod', '-n', NS, 'refused', '--now']);
  });

  it('the API server restarts, and every watcher recovers', async function () {
    if (!lab.canStopComponents) return this.skip();
    const load = await lab.loadPod(NS, 'api-server-load', 'http://server:8080/', {
      method: 'GET',
      seconds: 20,
      workers: 2,
      pauseMs: 20,
    });
    await lab.restartComponent('apiserver');
    await eventually('the API server answers', async () => (await lab.run(['get', 'nodes'])).code === 0);
    // The injector and the operator see a new namespace, the controller a new service: each through a watch that was cut.
    await lab.apply([namespace('after-restart', true)]);
    await eventually('the operator gives the new namespace its trust', async () => {
      return (await lab.run(['get', 'configmap', '-n', 'after-restart', 'osm-trust'])).code === 0;
    });
    await lab.apply(
      workload({
        namespace: NS,
        name: 'late',
        command: ['node', '/programs/http-server.mjs', '8080'],
        ports: [{ name: 'http', port: 8080 }],
        readiness: '/',
      }),
    );
    await lab.rolledOut(NS, 'late');
    await eventually(
      'the client reaches the new service',
      async () => (await lab.curl(NS, 'client', 'http://late:8080/')).status === 200,
    );
    const report = await load.finish();
    assert.deepEqual(Object.keys(report.statuses), ['200'], JSON.stringify(report));
  });
});

interface PodStatus {
  readonly status: {
    readonly initContainerStatuses?: readonly {
      readonly name: string;
      readonly state: { readonly running?: object };
    }[];
    readonly containerStatuses?: readonly { readonly name: string; readonly state: { readonly running?: object } }[];
  };
}
