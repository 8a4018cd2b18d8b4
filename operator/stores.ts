/** The operator's window on the cluster: one reflector a kind, each as narrow as its rights (cdk8s/rights.ts). */
import {
  controllerName,
  controlPlaneCaSecretName,
  gatewayGrantRoleName,
  gatewayRoleName,
  guardConfigMapName,
  injectorName,
  managedByLabel,
  meshConfigName,
  ownerRoleName,
  tlsSecretName,
  trustConfigMapName,
  workloadRootSecretName,
} from '#cdk8s/names.ts';
import * as kinds from '#kubernetes/kinds.ts';
import { createReflector } from '#kubernetes/reflector.ts';
import type {
  Kind,
  KubeObject,
  KubernetesClient,
  ListOptions,
  Reflector,
  ReflectorTransition,
} from '#kubernetes/types.ts';
import { CONTROL_PLANE, IGNORE, MONITORED_BY } from '#webhook/inject/names.ts';
import { clusterKinds, localKinds } from './own-kinds.ts';
import type { ManagedObject, ObservedNamespace, ObservedRootCertificate } from './plan/observed.ts';
import { observedRootCertificate } from './root-certificates.ts';

export interface Stores {
  /** Of every namespace; only the one of ours makes a mesh. */
  readonly meshConfigs: Reflector<KubeObject>;
  readonly namespaces: Reflector<ObservedNamespace>;
  readonly rootCertificates: Reflector<ObservedRootCertificate>;
  /** Kubelet version by node. */
  readonly nodes: Reflector<string>;
  readonly ownerRole: Reflector<KubeObject>;
  readonly guard: Reflector<ManagedObject>;
  readonly secrets: readonly Reflector<ManagedObject>[];
  /** What carries our label. */
  readonly managed: readonly Reflector<ManagedObject>[];
  readonly all: readonly Reflector<unknown>[];
  /** Kinds whose first list is not here yet. */
  unsynced(): string[];
}

export interface StoresOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly onTransition: (transition: ReflectorTransition) => void;
}

export function createStores({ client, namespace, onTransition }: StoresOptions): Stores {
  const made: { readonly kind: string; readonly reflector: Reflector<unknown> }[] = [];
  function reflect<T>(kind: Kind, list: ListOptions, transform: (object: KubeObject) => T | undefined): Reflector<T> {
    const reflector = createReflector<T>({ client, kind, list, transform, onTransition });
    made.push({ kind: kind.plural, reflector });
    return reflector;
  }
  const named = (name: string): ListOptions => ({ fieldSelector: `metadata.name=${name}` });
  const local = (name: string): ListOptions => ({ namespace, ...named(name) });
  const labelled = { labelSelector: managedByLabel };
  // The items of a list carry neither apiVersion nor kind.
  const whole =
    (kind: Kind) =>
    (object: KubeObject): ManagedObject => ({ ...object, apiVersion: kinds.apiVersionOf(kind), kind: kind.kind });

  const meshConfigs = reflect(kinds.MeshConfigs, named(meshConfigName), (object) => object);
  const namespaces = reflect(kinds.Namespaces, {}, namespaceOf);
  const rootCertificates = reflect(kinds.MeshRootCertificates, { namespace }, (object) =>
    observedRootCertificate(object, namespace),
  );
  const nodes = reflect(kinds.Nodes, {}, kubeletVersion);
  const ownerRole = reflect(kinds.ClusterRoles, named(ownerRoleName), (object) => object);
  const guard = reflect(kinds.ConfigMaps, local(guardConfigMapName), whole(kinds.ConfigMaps));
  const secrets = [
    controlPlaneCaSecretName,
    workloadRootSecretName,
    tlsSecretName(injectorName),
    tlsSecretName(controllerName),
  ].map((name) => reflect(kinds.Secrets, local(name), whole(kinds.Secrets)));
  const managed = [
    ...localKinds.map((kind) => reflect(kind, { namespace, ...labelled }, whole(kind))),
    ...clusterKinds.map((kind) => reflect(kind, labelled, whole(kind))),
    ...(
      [
        [kinds.ConfigMaps, trustConfigMapName],
        [kinds.Roles, gatewayRoleName],
        [kinds.RoleBindings, gatewayRoleName],
        [kinds.RoleBindings, gatewayGrantRoleName],
      ] as const
    ).map(([kind, name]) =>
      reflect(kind, named(name), (object) =>
        object.metadata.labels?.[managedByLabel] === undefined ? undefined : whole(kind)(object),
      ),
    ),
  ];
  const all = made.map(({ reflector }) => reflector);
  const unsynced = (): string[] => [
    ...new Set(made.filter(({ reflector }) => !reflector.isSynced).map(({ kind }) => kind)),
  ];
  return { meshConfigs, namespaces, rootCertificates, nodes, ownerRole, guard, secrets, managed, all, unsynced };
}

function namespaceOf({ metadata }: KubeObject): ObservedNamespace {
  const { labels = {} } = metadata;
  return {
    name: metadata.name,
    monitoredBy: labels[MONITORED_BY],
    ignored: labels[IGNORE] !== undefined || labels[CONTROL_PLANE] !== undefined,
    terminating: metadata.deletionTimestamp !== undefined,
  };
}

function kubeletVersion(node: KubeObject): string {
  const status = node.status as { nodeInfo?: { kubeletVersion?: string } } | undefined;
  return status?.nodeInfo?.kubeletVersion ?? '';
}
