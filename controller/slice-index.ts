import type { ObjectKey, Store } from '#kubernetes/types.ts';
import type { NameKey } from '#mesh/model.ts';
import type { EndpointSliceObject } from '#mesh/objects.ts';

/** The service that a slice belongs to. */
export function serviceOf({ namespace, service }: EndpointSliceObject): NameKey {
  return `${namespace}/${service}`;
}

/** Slices by their service, kept in step with a store that is empty yet. A big service has one slice for each 100 pods. */
export function createSliceIndex(
  store: Pick<Store<EndpointSliceObject>, 'subscribe'>,
): (service: NameKey) => EndpointSliceObject[] {
  const index = new Map<NameKey, Map<ObjectKey, EndpointSliceObject>>();

  function remove(service: NameKey, key: ObjectKey): void {
    const slices = index.get(service);
    slices?.delete(key);
    if (slices?.size === 0) index.delete(service);
  }

  store.subscribe((change) => {
    // A slice may change its service: its label is no key of it.
    if (change.type !== 'added') remove(serviceOf(change.previous), change.key);
    if (change.type === 'deleted') return;
    const service = serviceOf(change.object);
    const slices = index.get(service) ?? new Map<ObjectKey, EndpointSliceObject>();
    index.set(service, slices.set(change.key, change.object));
  });
  return (service) => [...(index.get(service)?.values() ?? [])];
}
