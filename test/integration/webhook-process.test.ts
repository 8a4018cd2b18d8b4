/** The injector's process from start to end, and what a client of the API server is told when it is not there. */
import assert from 'node:assert/strict';
import { connect } from 'node:tls';
import { Agent, request } from 'undici';
import { type Client, createClient } from '#kubernetes/client.ts';
import { KubernetesError } from '#kubernetes/error.ts';
import {
  CustomResourceDefinitions,
  MeshConfigs,
  MutatingWebhookConfigurations,
  Namespaces,
  Pods,
} from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { type InjectorProcess, startInjectorProcess } from './webhook-process.ts';

describe('injector process', function () {
  this.timeout(120_000);
  let server: ApiServer;
  let client: Client;
  let injector: InjectorProcess;

  before(async () => {
    server = await startApiServer();
    client = createClient(server.clientOptions);
    await client.create(CustomResourceDefinitions, parse(readFileSync('crds/mesh-config.yaml', 'utf8')) as KubeObject);
    const labels = { 'openservicemesh.io/monitored-by': 'osm', 'openservicemesh.io/sidecar-injection': 'enabled' };
    for (const metadata of [{ name: 'osm-system' }, { name: 'shop', labels }]) {
      await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata });
    }
    injector = await startInjectorProcess({ kubeconfigPath: server.kubeconfigPath });
    await client.create(MutatingWebhookConfigurations, webhook(injector));
  });

  after(async () => {
    await injector?.end('SIGKILL');
    client?.close();
    await server?.stop();
  });

  /** What a client sees for a pod that is meant to be in the mesh; undefined when it is stored. */
  const refusal = async (): Promise<KubernetesError | undefined> => {
    const spec = { serviceAccountName: 'default', containers: [{ name: 'web', image: 'web' }] };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'shop' }, spec };
    return client.create(Pods, pod, { dryRun: true }).then(
      () => undefined,
      (error: unknown) => {
        if (error instanceof KubernetesError) return error;
        throw error;
      },
    );
  };
  const readiness = async () => request(`http://${injector.address}:9091/health/ready`);

  it('without a MeshConfig is unready, and tells clients what to apply', async () => {
    const answer = await readiness();
    assert.equal(answer.statusCode, 503);
    assert.match(await answer.body.text(), /waiting for a valid MeshConfig osm-mesh-config/);
    const seen = await eventually(
      'the webhook is asked',
      async () => {
        const found = await refusal();
        return found?.message.includes('osm-inject.k8s.io') && found;
      },
      { everyMs: 50 },
    );
    assert.equal(seen.status, 503);
    assert.match(seen.message, /cannot take pods yet.*apply one named osm-mesh-config.*\(no-mesh-config\)/);
  });

  it('on SIGTERM is unready at once, answers on for a while, and ends with 0', async () => {
    await eventually('a MeshConfig can be stored', async () =>
      client.create(MeshConfigs, {
        apiVersion: 'config.openservicemesh.io/v1alpha2',
        kind: 'MeshConfig',
        metadata: { name: 'osm-mesh-config', namespace: 'osm-system' },
        spec: {},
      }),
    );
    await injector.ready();
    assert.equal(await refusal(), undefined);
    const ended = injector.end('SIGTERM');
    await eventually('it is unready', async () => (await readiness()).statusCode === 503, { everyMs: 10 });
    assert.equal(await refusal(), undefined, 'through a connection that was open');
    const agent = new Agent({ connect: { ca: injector.authority } });
    const fresh = await request(`https://${injector.address}:9090/validate`, { method: 'POST', dispatcher: agent });
    assert.equal(fresh.statusCode, 415, 'through a new connection');
    await agent.close();
    assert.equal(await ended, 0);
    await assert.rejects(
      new Promise((resolve, reject) =>
        connect({ host: injector.address, port: 9090 }, () => resolve('open')).once('error', reject),
      ),
      { code: 'ECONNREFUSED' },
    );
    assert.match(injector.log(), /"signal":"SIGTERM".*"stopping"/);
  });

  it('that is away leaves the pod refused, and the client with the name of what to look for', async () => {
    const seen = await refusal();
    assert.equal(seen?.status, 500);
    assert.match(seen?.message ?? '', /failed calling webhook "osm-inject\.k8s\.io".*connection refused/);
  });
});

function webhook(injector: InjectorProcess): KubeObject {
  const configuration = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'osm-webhook-osm' },
    webhooks: [
      {
        name: 'osm-inject.k8s.io',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        clientConfig: {
          url: `https://${injector.address}:9090/mutate-pod-creation`,
          caBundle: Buffer.from(injector.authority).toString('base64'),
        },
        namespaceSelector: { matchExpressions: [{ key: 'openservicemesh.io/monitored-by', operator: 'Exists' }] },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      },
    ],
  };
  return configuration;
}
