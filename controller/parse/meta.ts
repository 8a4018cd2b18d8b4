import type { KubeObject } from '#kubernetes/types.ts';
import type { Meta } from '#mesh/objects.ts';

export function metaOf({ metadata }: KubeObject): Meta {
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    created: metadata.creationTimestamp ?? '',
  };
}
