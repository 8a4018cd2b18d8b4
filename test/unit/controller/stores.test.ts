import assert from 'node:assert/strict';
import { createStores } from '#controller/stores.ts';
import { createSliceIndex } from '#controller/slice-index.ts';
import type { Change } from '#controller/pending.ts';
import { createStore } from '#kubernetes/store.ts';
import type { KubeObject, Reflector, ReflectorOptions } from '#kubernetes/types.ts';
import type { EndpointSliceObject } from '#mesh/objects.ts';
import { pod, service, slice } from '#test/unit/mesh/builders.ts';

/** Stores whose lists a test brings by hand: `bring(kind, …)` is an event, `synced(kind)` the end of the first list. */
function stores() {
  const kinds = new Map<string, { put: (object: KubeObject) => void; sync: () => void }>();
  const changes: Change[] = [];
  let synced = 0;
  let errors = 0;
  let version = 0;
  const reflect = <T>({ kind, transform }: Pick<ReflectorOptions<T>, 'kind' | 'transform'>): Reflector<T> => {
    const store = createStore<T>(() => undefined);
    const done = Promise.withResolvers<void>();
    let isSynced = false;
    kinds.set(kind.kind, {
      put(object) {
        const value = transform(object);
        const key = object.metadata.namespace
          ? `${object.metadata.namespace}/${object.metadata.name}`
          : object.metadata.name;
        if (value !== undefined) store.set(key, { value, uid: '', version: String((version += 1)) });
      },
      sync() {
        isSynced = true;
        done.resolve();
      },
    });
    return {
      store,
      synced: done.promise,
      get isSynced() {
        return isSynced;
      },
      start: () => undefined,
      stop: () => undefined,
    };
  };
  const made = createStores({
    reflect,
    namespace: 'osm-system',
    meshName: 'osm',
    clusterDomain: 'cluster.local',
    onChange: (change) => changes.push(change),
    onSynced: () => {
      synced += 1;
    },
    onConfig: () => undefined,
    onConfigError: () => {
      errors += 1;
    },
  });
  made.start();
  return { made, kinds, changes, synced: () => synced, errors: () => errors };
}

function object(kind: string, namespace: string, name: string, more: object = {}): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, ...(namespace && { namespace }) }, ...more };
}

function joined(name: string): KubeObject {
  const labels = { 'openservicemesh.io/monitored-by': 'osm' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

describe('the controller’s stores', () => {
  it('say when all kinds are listed, though the last of them is empty', async () => {
    const { kinds, synced } = stores();
    const all = [...kinds.values()];
    for (const kind of all.slice(1)) kind.sync();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(synced(), 0);
    all[0]?.sync();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(synced(), 1);
  });

  it('say nothing of objects in namespaces outside the mesh, and all of it when one joins', () => {
    const { kinds, changes } = stores();
    kinds.get('Namespace')?.put(object('Namespace', '', 'other'));
    changes.length = 0;
    for (const kind of ['Pod', 'Service', 'TrafficTarget']) kinds.get(kind)?.put(object(kind, 'other', 'one'));
    assert.deepEqual(changes, []);
    kinds.get('Namespace')?.put(joined('other'));
    assert.deepEqual(changes, [{ kind: 'Namespace' }]);
    kinds.get('Pod')?.put(object('Pod', 'other', 'two'));
    assert.deepEqual(changes.at(-1), { kind: 'Pod' });
  });

  it('say nothing of an update that the mesh does not read', () => {
    const { kinds, changes } = stores();
    kinds.get('Namespace')?.put(joined('shop'));
    kinds.get('Pod')?.put(object('Pod', 'shop', 'one', { status: { podIP: '10.0.0.1' } }));
    changes.length = 0;
    const conditions = [{ type: 'Ready', status: 'False' }];
    kinds.get('Pod')?.put(object('Pod', 'shop', 'one', { status: { podIP: '10.0.0.1', conditions } }));
    assert.deepEqual(changes, []);
  });

  it('say of objects of the mesh alone why they cannot be read, and who they are', () => {
    const { made, kinds } = stores();
    kinds.get('Namespace')?.put(joined('shop'));
    kinds.get('Namespace')?.put(object('Namespace', '', 'other'));
    for (const where of ['shop', 'other'])
      kinds.get('TrafficSplit')?.put(object('TrafficSplit', where, 'broken', { spec: {} }));
    const [problem, ...more] = made.problems();
    assert.ok(
      more.every((one) => one.object.namespace === 'shop'),
      JSON.stringify(more),
    );
    assert.deepEqual(problem?.object, { kind: 'TrafficSplit', namespace: 'shop', name: 'broken' });
    const metadata = { name: 'broken', namespace: 'shop', uid: '', resourceVersion: '3' };
    assert.deepEqual(made.subject(problem.object), {
      apiVersion: 'split.smi-spec.io/v1alpha4',
      kind: 'TrafficSplit',
      metadata,
    });
    assert.deepEqual(made.subject({ kind: 'Namespace', namespace: '', name: 'shop' })?.metadata.name, 'shop');
    assert.equal(made.subject({ kind: 'Service', namespace: 'shop', name: 'gone' }), undefined);
  });

  it('keep the last good MeshConfig, and say once what is wrong in the one that is there', () => {
    const { made, kinds, errors } = stores();
    const apiVersion = 'config.openservicemesh.io/v1alpha2';
    const config = (spec: object) =>
      kinds.get('MeshConfig')?.put(object('MeshConfig', 'osm-system', 'osm-mesh-config', { apiVersion, spec }));
    config({});
    const good = made.settings();
    assert.ok(good);
    const wrong = { sidecar: { tlsMinProtocolVersion: 'TLSv1_3', tlsMaxProtocolVersion: 'TLSv1_2' } };
    config(wrong);
    config(wrong);
    assert.equal(made.settings(), good);
    assert.equal(errors(), 1);
    assert.deepEqual(made.problems().map(({ key, object: { kind } }) => [key, kind])[0], [
      'object-invalid',
      'MeshConfig',
    ]);
    config({});
    assert.deepEqual(made.problems(), []);
    assert.equal(made.settings(), good, 'the same settings are the same object: no compile is to come');
  });

  it('say of a slice whose service it is, when they already have it', () => {
    const { made, kinds, changes } = stores();
    kinds.get('Namespace')?.put(joined('shop'));
    const of = { 'kubernetes.io/service-name': 'web' };
    kinds
      .get('EndpointSlice')
      ?.put({ apiVersion: 'v1', kind: 'EndpointSlice', metadata: { name: 'web-1', namespace: 'shop', labels: of } });
    assert.deepEqual(changes.at(-1), { kind: 'EndpointSlice', service: 'shop/web' });
    assert.equal(made.slicesOf('shop/web').length, 1);
    assert.equal(made.slicesOf('shop/other').length, 0);
  });
});

describe('slices by service', () => {
  it('follow a slice that changes its service, and one that goes', () => {
    const store = createStore<EndpointSliceObject>(() => undefined);
    const slicesOf = createSliceIndex(store);
    const one = slice(service('shop/web'), [pod('shop/web-1', 'web')]);
    store.set('shop/s', { value: one, uid: '', version: '1' });
    store.set('shop/s', { value: { ...one, service: 'api' }, uid: '', version: '2' });
    assert.deepEqual([slicesOf('shop/web').length, slicesOf('shop/api').length], [0, 1]);
    store.set('shop/s', undefined);
    assert.deepEqual(slicesOf('shop/api'), []);
  });
});
