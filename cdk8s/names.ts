/** Names, labels and ports that the installation and the control plane share (docs/architecture.md). */
import packageJson from '../package.json' with { type: 'json' };

export const version: string = packageJson.version;

/** Where `install.yaml` puts the control plane. */
export const defaultNamespace = 'osm-system';
export const defaultImage = `openservicemesh/osm:${version}`;
export const defaultEnvoyImage = 'envoyproxy/envoy-distroless:v1.40.0';

export const operatorName = 'osm-operator';
export const injectorName = 'osm-injector';
export const controllerName = 'osm-controller';

/** ClusterRole without rules that owns everything outside the control plane's namespace, so that it goes with the install. */
export const ownerRoleName = 'osm-install';
export const guardConfigMapName = 'osm-guard';
export const trustConfigMapName = 'osm-trust';
export const workloadRootSecretName = 'osm-ca-bundle';
export const controlPlaneCaSecretName = 'osm-control-plane-ca';
/** Role and RoleBinding by which the controller reads the Secrets that MeshRootCertificates name. */
export const providerSecretsRoleName = 'osm-controller-providers';
/** Role and RoleBinding, beside the ingress gateway's Secret, by which the controller writes that one. */
export const gatewayRoleName = 'osm-controller-gateway';
/** What the operator must hold to make that Role: a ClusterRole, and a RoleBinding beside the Secret by which it takes it there. */
export const gatewayGrantRoleName = 'osm-operator-gateway';
export const leaseName = 'osm-operator';
export const meshConfigName = 'osm-mesh-config';

export const ports = { webhooks: 9090, health: 9091, api: 9092, xds: 15128 } as const;

/** On everything that the operator makes; its value is the mesh. What carries it and is no longer wanted is pruned. */
export const managedByLabel = 'openservicemesh.io/managed-by-mesh';

/** Where the controller's own token for Vault is mounted, as `token`. */
export const vaultTokenDirectory = '/var/run/secrets/osm/vault';

/** On the pods of injector and controller: the UID of the ServiceAccount that their tokens are of. */
export const serviceAccountUidAnnotation = 'openservicemesh.io/service-account-uid';

/** The Secret that a component serves TLS from. */
export function tlsSecretName(component: string): string {
  return `${component}-tls`;
}

/** Names that a component's serving certificate carries. */
export function servingNames(component: string, namespace: string): string[] {
  return [`${component}.${namespace}.svc`, `${component}.${namespace}.svc.cluster.local`];
}

/** The recommended labels. Never those of a parent: a copied Argo CD or Helm label makes that tool claim and prune our objects. */
export function recommendedLabels(instance: string, managedBy: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'openservicemesh.io',
    'app.kubernetes.io/instance': instance,
    'app.kubernetes.io/version': version,
    'app.kubernetes.io/part-of': 'open-service-mesh',
    'app.kubernetes.io/managed-by': managedBy,
  };
}
