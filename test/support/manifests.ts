/** Manifests → what the compiler reads, through the controller's own stores: the parse layer is a part of what is tested. */
import { createStores } from '#controller/stores.ts';
import { createStore, keyOf } from '#kubernetes/store.ts';
import type { KubeObject, Reflector, ReflectorOptions } from '#kubernetes/types.ts';
import type { MeshObjects } from '#mesh/objects.ts';
import type { Problem } from '#mesh/problem.ts';

export interface Loaded {
  readonly objects: MeshObjects;
  /** Of objects that cannot be read at all. */
  readonly problems: readonly Problem[];
}

/** Throws when a manifest is of a kind that the controller does not watch, or when there is no valid MeshConfig. */
export function load(manifests: readonly KubeObject[], { clusterDomain = 'cluster.local' } = {}): Loaded {
  const kinds = new Map<string, (object: KubeObject) => void>();
  const reflect = <T>({ kind, transform }: Pick<ReflectorOptions<T>, 'kind' | 'transform'>): Reflector<T> => {
    const store = createStore<T>((error) => {
      throw error;
    });
    kinds.set(kind.kind, (object) => {
      const value = transform(object);
      if (value !== undefined) store.set(keyOf(object), { value, uid: object.metadata.uid ?? '', version: '1' });
    });
    return { store, synced: Promise.resolve(), isSynced: true, start: () => undefined, stop: () => undefined };
  };
  const stores = createStores({
    ...{ reflect, clusterDomain, namespace: 'osm-system', meshName: 'osm' },
    onChange: () => undefined,
    onSynced: () => undefined,
    onConfig: () => undefined,
    onConfigError: (errors) => {
      throw new Error(`MeshConfig: ${errors.map(({ field, message }) => `${field} ${message}`).join(', ')}`);
    },
  });
  for (const object of manifests) {
    const put = kinds.get(object.kind);
    if (put === undefined) throw new Error(`the controller does not watch ${object.kind} ${object.metadata.name}`);
    put(object);
  }
  const settings = stores.settings();
  if (settings === undefined) throw new Error('there is no MeshConfig osm-mesh-config in osm-system');
  return { objects: stores.objects(settings.mesh), problems: stores.problems() };
}
