/** The injector as a whole, called by a real API server over TLS: a MutatingWebhookConfiguration, pods, and their answers. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import pino from 'pino';
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
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import type { Container, PodSpec } from '#webhook/inject/pod.ts';
import { type Injector, startInjector } from '#webhook/injector.ts';
import { writePair } from './webhook-process.ts';

describe('injector behind a real API server', function () {
  this.timeout(120_000);
  let server: ApiServer;
  let client: Client;
  let injector: Injector;
  let directory: string;
  let authorityPem: string;

  const ready = async () => (await fetch(`http://127.0.0.1:${injector.healthPort}/health/ready`)).status;

  before(async () => {
    [server, directory] = await Promise.all([startApiServer(), mkdtemp(join(tmpdir(), 'osm-injector-'))]);
    client = createClient(server.clientOptions);
    await client.create(CustomResourceDefinitions, meshConfigCrd);
    const space = (name: string, labels: Record<string, string> = {}) =>
      client.apply(
        Namespaces,
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
        { fieldManager: 'test' },
      );
    await space('osm-system');
    await space('shop', {
      'openservicemesh.io/monitored-by': 'osm',
      'openservicemesh.io/sidecar-injection': 'enabled',
    });
    authorityPem = await writePair(directory, '127.0.0.1');
    injector = await startInjector({
      client,
      environment: {
        namespace: 'osm-system',
        meshName: 'osm',
        image: 'openservicemesh/osm:test',
        envoyImage: 'envoy:test',
        logLevel: 'silent',
        tlsDirectory: directory,
        nativeSidecars: true,
        listenAddress: undefined,
      },
      // The level follows MeshConfig.
      log: pino({ level: 'silent' }, { write: () => undefined }),
      version: 'test',
      host: '127.0.0.1',
      webhookPort: 0,
      healthPort: 0,
      lameDuckMs: 0,
    });
  });

  after(async () => {
    await injector?.stop();
    client?.close();
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const url = (path: string) => `https://127.0.0.1:${injector.webhookPort}${path}`;

  it('is unready without a MeshConfig and ready with one', async () => {
    assert.equal(await ready(), 503);
    await eventually('a MeshConfig can be stored', async () =>
      client.create(MeshConfigs, {
        apiVersion: 'config.openservicemesh.io/v1alpha2',
        kind: 'MeshConfig',
        metadata: { name: 'osm-mesh-config', namespace: 'osm-system' },
        spec: {},
      }),
    );
    await eventually('the injector is ready', async () => (await ready()) === 200);
  });

  it('puts the sidecar into a pod that the API server stores, also when another webhook makes it call again', async () => {
    const webhook = (name: string) => ({
      name,
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      failurePolicy: 'Fail',
      reinvocationPolicy: 'IfNeeded',
      clientConfig: { url: url('/mutate-pod-creation'), caBundle: Buffer.from(authorityPem).toString('base64') },
      namespaceSelector: { matchExpressions: [{ key: 'openservicemesh.io/monitored-by', operator: 'Exists' }] },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
    });
    // Twice: what the first changes has the second called, and the first again.
    await client.create(MutatingWebhookConfigurations, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'osm-webhook-osm' },
      webhooks: [webhook('one.osm-inject.k8s.io'), webhook('two.osm-inject.k8s.io')],
    } as KubeObject);
    const spec = await eventually('a pod comes back with its sidecar', async () => {
      const stored = await create('web', { livenessProbe: { httpGet: { path: '/live', port: 8080 } } });
      const found = stored.spec as PodSpec;
      return (found.initContainers?.length ?? 0) > 0 && found;
    });
    assert.deepEqual(
      spec.initContainers?.map(({ name }) => name),
      ['osm-init', 'envoy'],
    );
    assert.deepEqual(
      spec.containers.map(({ name }) => name),
      ['web'],
    );
    assert.equal(spec.containers[0]?.livenessProbe?.httpGet?.path, '/osm-liveness-probe/web');
    assert.match(spec.initContainers?.[1]?.args?.at(-1) ?? '', /"liveness web http 8080 \/live"/);
    assert.deepEqual(
      spec.volumes?.map(({ name }) => name),
      ['osm-token', 'osm-trust'],
    );
  });

  it('refuses with a sentence and the reason key', async () => {
    await assert.rejects(create('web', { securityContext: { runAsUser: 1500 } }), (error: unknown) => {
      assert.ok(error instanceof KubernetesError);
      assert.match(error.message, /runs as user 1500.*\(sidecar-user\)/);
      return true;
    });
    const metrics = await (await fetch(`http://127.0.0.1:${injector.healthPort}/metrics`)).text();
    assert.match(metrics, /osm_admission_reviews_total\{decision="refuse",reason="sidecar-user"\} [1-9]/);
  });

  it('serves a new certificate without a restart', async () => {
    const before = await servedSerial(injector.webhookPort);
    await writePair(directory, '127.0.0.1');
    await eventually(
      'another certificate is served',
      async () => (await servedSerial(injector.webhookPort)) !== before,
      { everyMs: 50 },
    );
  });

  const create = (name: string, container: Partial<Container>): Promise<KubeObject> =>
    client.create(
      Pods,
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'shop' },
        spec: { serviceAccountName: 'default', containers: [{ name, image: 'web', ...container }] },
      },
      { dryRun: true },
    );
});

/** As wide as it goes: the schema is tested with crds/. */
const meshConfigCrd: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'meshconfigs.config.openservicemesh.io' },
  spec: {
    group: 'config.openservicemesh.io',
    scope: 'Namespaced',
    names: { kind: 'MeshConfig', plural: 'meshconfigs' },
    versions: [
      {
        name: 'v1alpha2',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

function servedSerial(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
