import { meaningOf } from '#crds/on-off.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import type { NamespaceObject, NodeObject } from '#mesh/objects.ts';
import { ACCEPT_PLAINTEXT } from '#mesh/plaintext.ts';

export function parseNamespace(object: KubeObject, meshName: string): NamespaceObject {
  return {
    name: object.metadata.name,
    monitored: object.metadata.labels?.['openservicemesh.io/monitored-by'] === meshName,
    acceptPlaintext: meaningOf(object.metadata.annotations?.[ACCEPT_PLAINTEXT]),
  };
}

export function parseNode(object: KubeObject): NodeObject {
  return { name: object.metadata.name, zone: object.metadata.labels?.['topology.kubernetes.io/zone'] ?? '' };
}
