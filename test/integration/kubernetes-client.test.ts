import assert from 'node:assert/strict';
import { type Client, createClient } from '#kubernetes/client.ts';
import { isAlreadyExists, isConflict, isStatus, KubernetesError } from '#kubernetes/error.ts';
import {
  ConfigMaps,
  CustomResourceDefinitions,
  Deployments,
  Namespaces,
  Pods,
  ServiceAccounts,
} from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';

const namespace = 'client-test';

function configMap(name: string, data: Record<string, string>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data };
}

describe('the Kubernetes client on a real API server', () => {
  let server: ApiServer;
  let client: Client;

  before(async function () {
    this.timeout(120_000);
    server = await startApiServer();
    client = createClient(server.clientOptions);
    await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  });
  after(async () => {
    client?.close();
    await server?.stop();
  });

  it('creates, reads, replaces and deletes', async () => {
    const made = await client.create(ConfigMaps, configMap('a', { one: '1' }));
    assert.ok(made.metadata.uid);
    assert.deepEqual((await client.get(ConfigMaps, 'a', namespace))?.data, { one: '1' });
    const changed = await client.replace(ConfigMaps, { ...made, data: { one: '2' } });
    assert.notEqual(changed.metadata.resourceVersion, made.metadata.resourceVersion);
    assert.equal(await client.delete(ConfigMaps, 'a', namespace), true);
    assert.equal(await client.delete(ConfigMaps, 'a', namespace), false);
    assert.equal(await client.get(ConfigMaps, 'a', namespace), undefined);
  });

  it('says why a write was refused', async () => {
    const made = await client.create(ConfigMaps, configMap('b', {}));
    await assert.rejects(client.create(ConfigMaps, configMap('b', {})), isAlreadyExists);
    await client.replace(ConfigMaps, { ...made, data: { winner: 'first' } });
    await assert.rejects(client.replace(ConfigMaps, { ...made, data: { winner: 'second' } }), isConflict);
    await assert.rejects(
      client.delete(ConfigMaps, 'b', namespace, { uid: '00000000-0000-0000-0000-000000000000' }),
      isConflict,
    );
    await assert.rejects(client.create(ConfigMaps, configMap('NOT A NAME', {})), (error: unknown) => {
      assert.ok(error instanceof KubernetesError && error.status === 422 && error.reason === 'Invalid');
      assert.match(error.message, /POST .*configmaps: 422 .*NOT A NAME/);
      return true;
    });
  });

  it('applies server-side, owns fields, and tells conflicts', async () => {
    const mine = { fieldManager: 'mine' };
    await client.apply(ConfigMaps, configMap('applied', { a: '1', b: '1' }), mine);
    const second = await client.apply(ConfigMaps, configMap('applied', { a: '2' }), mine);
    assert.deepEqual(second.data, { a: '2' }, 'what is no longer applied is gone');
    await assert.rejects(
      client.apply(ConfigMaps, configMap('applied', { a: '3' }), { fieldManager: 'other' }),
      isConflict,
    );
    const dry = await client.apply(ConfigMaps, configMap('applied', { a: '4' }), { ...mine, dryRun: true });
    assert.equal(dry.data?.['a'], '4');
    const forced = await client.apply(ConfigMaps, configMap('applied', { a: '5' }), {
      fieldManager: 'other',
      force: true,
    });
    assert.equal(forced.data?.['a'], '5');
  });

  it('sends and returns fields that no model knows', async () => {
    await client.apply(CustomResourceDefinitions, freeFormDefinition, { fieldManager: 'test' });
    const kind = { group: 'test.example', version: 'v1', kind: 'Free', plural: 'frees', namespaced: true };
    const spec = { invented: { yesterday: [1, 'two', null, { deep: true }] } };
    const made = await untilServed(() =>
      client.apply(
        kind,
        { apiVersion: '', kind: '', metadata: { name: 'f', namespace }, spec },
        { fieldManager: 'test' },
      ),
    );
    assert.deepEqual(made.spec, spec);
    assert.deepEqual((await client.list(kind)).items[0]?.spec, spec);
    // A field of a built-in kind that client-node's models know only since late: it must reach the server.
    const deployment = deploymentWith({ initContainers: [{ name: 'i', image: 'x', restartPolicy: 'Always' }] });
    const stored = await client.apply(Deployments, deployment, { fieldManager: 'test' });
    assert.match(JSON.stringify(stored.spec), /"restartPolicy":"Always"/);
  });

  it('lists across pages, with apiVersion and kind in each item', async () => {
    const names = Array.from({ length: 1_203 }, (_, index) => `many-${String(index).padStart(4, '0')}`);
    const labels = { set: 'many' };
    for (let start = 0; start < names.length; start += 100) {
      await Promise.all(
        names
          .slice(start, start + 100)
          .map((name) => client.create(ConfigMaps, { ...configMap(name, {}), metadata: { name, namespace, labels } })),
      );
    }
    const { items, resourceVersion } = await client.list(ConfigMaps, { namespace, labelSelector: 'set=many' });
    assert.deepEqual(items.map((item) => item.metadata.name).sort(), names);
    assert.ok(items.every((item) => item.apiVersion === 'v1' && item.kind === 'ConfigMap'));
    assert.match(resourceVersion, /^\d+$/);
    assert.equal((await client.list(ConfigMaps, { fieldSelector: 'metadata.name=many-0007' })).items.length, 1);
  }).timeout(60_000);

  it('makes calls that belong to no kind, and reads text as text', async () => {
    await client.create(ServiceAccounts, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'who', namespace },
    });
    const answer = await client.request<{ status: { token: string } }>(
      'POST',
      `/api/v1/namespaces/${namespace}/serviceaccounts/who/token`,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: ['osm'] } },
    );
    assert.equal(answer.status.token.split('.').length, 3);
    const keys = await client.request<{ keys: { alg: string }[] }>('GET', '/openid/v1/jwks');
    assert.equal(keys.keys[0]?.alg, 'ES256');
    assert.equal(await client.request<string>('GET', '/readyz'), 'ok');
  });

  it('is refused in words when it lacks a right', async () => {
    const nobody = createClient({ kubeconfig: await server.kubeconfigFor({ user: 'nobody' }) });
    try {
      await assert.rejects(nobody.list(Pods), (error: unknown) => {
        assert.ok(isStatus(error, 403) && error.reason === 'Forbidden');
        assert.match(error.message, /User "nobody" cannot list resource "pods"/);
        return true;
      });
    } finally {
      nobody.close();
    }
  });

  it('says that the server cannot be reached, with status 0', async () => {
    const lost = createClient({ kubeconfig: await server.kubeconfigFor({ url: 'https://127.0.0.1:1' }) });
    await assert.rejects(lost.get(Namespaces, 'x'), (error: unknown) => {
      assert.ok(isStatus(error, 0) && error.reason === 'Unreachable');
      assert.match(error.message, /GET \/api\/v1\/namespaces\/x: .*ECONNREFUSED/);
      return true;
    });
  });
});

/** A new kind is served a moment after its definition is accepted. */
async function untilServed<T>(call: () => Promise<T>): Promise<T> {
  return eventually('the new kind is served', call, { deadlineMs: 15_000, everyMs: 100 });
}

const freeFormDefinition: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'frees.test.example' },
  spec: {
    group: 'test.example',
    scope: 'Namespaced',
    names: { kind: 'Free', plural: 'frees' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

function deploymentWith(podSpec: object): KubeObject {
  const labels = { app: 'd' };
  const containers = [{ name: 'c', image: 'x' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', namespace },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers, ...podSpec } } },
  };
}
