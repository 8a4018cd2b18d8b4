/**
 * Who may do what. `install.yaml` ships all roles; the operator only binds those of injector and controller, so it
 * need not hold what they hold (`bind`). Writes are limited by name wherever names are known: for server-side apply,
 * the API server checks `create` with the name of the request.
 */
import { Construct } from 'constructs';
import { add } from './manifest.ts';
import {
  controllerName,
  controlPlaneCaSecretName,
  gatewayGrantRoleName,
  gatewayRoleName,
  guardConfigMapName,
  injectorName,
  leaseName,
  meshConfigName,
  operatorName,
  ownerRoleName,
  providerSecretsRoleName,
  tlsSecretName,
  trustConfigMapName,
  workloadRootSecretName,
} from './names.ts';

export interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

const read = ['get', 'list', 'watch'];
const own = ['get', 'list', 'watch', 'create', 'patch', 'delete'];
const write = ['create', 'patch', 'delete'];
const components = [injectorName, controllerName];

function on(group: string, resources: string[], verbs: string[], resourceNames?: string[]): Rule {
  return { apiGroups: [group], resources, ...(resourceNames ? { resourceNames } : {}), verbs };
}

const rbac = 'rbac.authorization.k8s.io';

/** Cluster-wide rights of the operator. */
export const operatorClusterRules: readonly Rule[] = [
  on('', ['namespaces', 'nodes'], read),
  // Everywhere: one that is in another namespace than the control plane's is told that it counts for nothing.
  on('config.openservicemesh.io', ['meshconfigs'], read, [meshConfigName]),
  on('config.openservicemesh.io', ['meshconfigs/status'], ['patch'], [meshConfigName]),
  on('', ['configmaps'], own, [trustConfigMapName]),
  on('admissionregistration.k8s.io', ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'], own),
  on(rbac, ['clusterroles'], read, [ownerRoleName]),
  on(rbac, ['clusterroles'], ['bind'], [...components, gatewayGrantRoleName]),
  on(rbac, ['clusterrolebindings'], read),
  on(rbac, ['clusterrolebindings'], write, components),
  // Wherever the Secret of the ingress gateway is. The Role lets its holder read itself, for the Secret belongs to it.
  on(rbac, ['roles'], [...own, 'bind'], [gatewayRoleName]),
  on(rbac, ['rolebindings'], own, [gatewayRoleName, gatewayGrantRoleName]),
];

/** The ingress gateway's Secret, by its name: server-side apply names what it creates, so `create` is limited too. */
const gatewayVerbs = ['get', 'create', 'patch'];

/**
 * What the operator must hold to grant it on one Secret, whose name and namespace the MeshConfig says. It uses none of it, and
 * takes it in that namespace alone, by a RoleBinding that goes when no certificate is asked for any more.
 */
export const gatewayGrantRules: readonly Rule[] = [on('', ['secrets'], gatewayVerbs)];

/** Rights of the operator in the control plane's namespace. */
export const operatorRules: readonly Rule[] = [
  on('', ['configmaps'], ['get', 'list', 'watch', 'create', 'patch'], [guardConfigMapName]),
  on('', ['secrets'], own, [
    controlPlaneCaSecretName,
    workloadRootSecretName,
    tlsSecretName(injectorName),
    tlsSecretName(controllerName),
  ]),
  // POST carries no name that the API server could check; a CA is made by POST so that it is never overwritten.
  on('', ['secrets'], ['create']),
  // Where injector and controller answer: asked for their certificates while the control-plane CA rotates.
  on('', ['pods'], ['list']),
  // Secrets that MeshRootCertificates name. The operator must hold what it grants, and cannot know their names before.
  on('', ['secrets'], ['get']),
  on('config.openservicemesh.io', ['meshrootcertificates'], read),
  on('', ['services', 'serviceaccounts'], read),
  on('', ['services', 'serviceaccounts'], write, components),
  on('apps', ['deployments'], read),
  on('apps', ['deployments'], write, components),
  on('policy', ['poddisruptionbudgets'], read),
  on('policy', ['poddisruptionbudgets'], write, components),
  // `bind` also where the Role is ours: without it, a dry run of the binding fails while the Role is not there yet.
  on(rbac, ['roles'], ['bind'], [controllerName, providerSecretsRoleName]),
  on(rbac, ['roles', 'rolebindings'], read),
  on(rbac, ['roles'], write, [providerSecretsRoleName]),
  on(rbac, ['rolebindings'], write, [controllerName, providerSecretsRoleName]),
  on('coordination.k8s.io', ['leases'], ['create']),
  on('coordination.k8s.io', ['leases'], ['get', 'update', 'patch'], [leaseName]),
  // What replicas of the controller report of their sidecars' roots: the rotation of the workload root waits for it.
  on('coordination.k8s.io', ['leases'], ['list']),
  on('events.k8s.io', ['events'], ['create', 'patch']),
];

/** The injector decides from the pod, its namespace and the MeshConfig: it reads nothing else and writes nothing. */
export const injectorClusterRules: readonly Rule[] = [
  on('', ['namespaces'], read),
  on('config.openservicemesh.io', ['meshconfigs'], read),
];

/** The controller reads what its model is made of, checks tokens, and tells users what it found. */
export const controllerClusterRules: readonly Rule[] = [
  on('', ['namespaces', 'nodes', 'pods', 'services', 'serviceaccounts'], read),
  on('discovery.k8s.io', ['endpointslices'], read),
  on('config.openservicemesh.io', ['meshconfigs', 'meshrootcertificates', 'extensionservices'], read),
  // Everywhere: one that is in another namespace than the control plane's is told that it counts for nothing.
  on('config.openservicemesh.io', ['meshrootcertificates/status'], ['get', 'patch']),
  on(
    'policy.openservicemesh.io',
    ['egresses', 'ingressbackends', 'retries', 'telemetries', 'upstreamtrafficsettings'],
    read,
  ),
  on(
    'policy.openservicemesh.io',
    [
      'egresses/status',
      'ingressbackends/status',
      'retries/status',
      'telemetries/status',
      'upstreamtrafficsettings/status',
    ],
    ['get', 'patch'],
  ),
  on('access.smi-spec.io', ['traffictargets'], read),
  on('specs.smi-spec.io', ['httproutegroups', 'tcproutes'], read),
  on('split.smi-spec.io', ['trafficsplits'], read),
  on('authentication.k8s.io', ['tokenreviews'], ['create']),
  on('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
  // `get` shows nothing that `patch` does not: a patch that changes nothing answers with the object, too.
  on('events.k8s.io', ['events'], ['get', 'create', 'patch']),
  { nonResourceURLs: ['/.well-known/openid-configuration', '/openid/v1/jwks'], verbs: ['get'] },
];

/**
 * The one Secret that the controller reads by itself, the workload root (others, which MeshRootCertificates name, it reads by a Role
 * of the operator's making: `addProviderSecrets`); its conditions; requests to cert-manager; the Lease that says which
 * controller reports; and one a replica that says what its sidecars have, by server-side apply. Those are named after pods, which
 * nobody knows before: so all Leases of this namespace.
 */
export const controllerRules: readonly Rule[] = [
  on('', ['secrets'], ['get'], [workloadRootSecretName]),
  on('config.openservicemesh.io', ['meshconfigs/status'], ['patch'], [meshConfigName]),
  on('cert-manager.io', ['certificaterequests'], ['create', 'get', 'watch', 'delete']),
  on('coordination.k8s.io', ['leases'], ['list', 'watch', 'create', 'patch']),
  on('coordination.k8s.io', ['leases'], ['get', 'update'], [controllerName]),
];

/** Lets the controller read exactly these Secrets; nothing where there is none. */
export function addProviderSecrets(scope: Construct, namespace: string, secrets: readonly string[]): void {
  if (secrets.length === 0) return;
  role(scope, providerSecretsRoleName, [on('', ['secrets'], ['get'], [...secrets])], namespace);
  add(scope, {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name: providerSecretsRoleName, namespace },
    roleRef: { apiGroup: rbac, kind: 'Role', name: providerSecretsRoleName },
    subjects: [{ kind: 'ServiceAccount', name: controllerName, namespace }],
  });
}

/** Lets the controller keep the certificate of the ingress gateway in exactly this Secret; the operator may say so by the first binding. */
export function addGatewaySecret(
  scope: Construct,
  controlPlane: string,
  secret: { readonly name: string; readonly namespace: string },
): void {
  const { name, namespace } = secret;
  const rules = [on('', ['secrets'], gatewayVerbs, [name]), on(rbac, ['roles'], ['get'], [gatewayRoleName])];
  add(scope, {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name: gatewayGrantRoleName, namespace },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: gatewayGrantRoleName },
    subjects: [{ kind: 'ServiceAccount', name: operatorName, namespace: controlPlane }],
  });
  role(scope, gatewayRoleName, rules, namespace);
  add(scope, {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name: gatewayRoleName, namespace },
    roleRef: { apiGroup: rbac, kind: 'Role', name: gatewayRoleName },
    subjects: [{ kind: 'ServiceAccount', name: controllerName, namespace: controlPlane }],
  });
}

/** Every role, and the operator's own account and bindings; those of injector and controller are the operator's work. */
export class Rights extends Construct {
  constructor(scope: Construct, namespace: string) {
    super(scope, 'rights');
    add(this, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: operatorName, namespace } });
    role(this, operatorName, operatorClusterRules);
    role(this, operatorName, operatorRules, namespace);
    bind(this, operatorName, namespace, 'cluster');
    bind(this, operatorName, namespace, 'namespace');
    role(this, gatewayGrantRoleName, gatewayGrantRules);
    role(this, injectorName, injectorClusterRules);
    role(this, controllerName, controllerClusterRules);
    role(this, controllerName, controllerRules, namespace);
    role(this, ownerRoleName, []);
  }
}

/** A Role in `namespace`, or a ClusterRole. */
function role(scope: Construct, name: string, rules: readonly Rule[], namespace?: string): void {
  add(scope, {
    apiVersion: `${rbac}/v1`,
    kind: namespace === undefined ? 'ClusterRole' : 'Role',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    rules,
  });
}

/** Binds the account `name` to the role of the same name, cluster-wide or in its namespace. */
export function bind(scope: Construct, name: string, namespace: string, reach: 'cluster' | 'namespace'): void {
  const clusterWide = reach === 'cluster';
  add(scope, {
    apiVersion: `${rbac}/v1`,
    kind: clusterWide ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name, ...(clusterWide ? {} : { namespace }) },
    roleRef: { apiGroup: rbac, kind: clusterWide ? 'ClusterRole' : 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  });
}
