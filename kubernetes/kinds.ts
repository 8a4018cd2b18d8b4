/** One constant for each kind of object that the mesh reads or writes, built-in kinds first, then ours and SMI's. */
import type { Kind } from './types.ts';

function namespaced(groupVersion: string, kind: string, plural: string): Kind {
  return { ...splitGroupVersion(groupVersion), kind, plural, namespaced: true };
}

function clusterWide(groupVersion: string, kind: string, plural: string): Kind {
  return { ...splitGroupVersion(groupVersion), kind, plural, namespaced: false };
}

function splitGroupVersion(groupVersion: string): { group: string; version: string } {
  const slash = groupVersion.indexOf('/');
  return slash < 0
    ? { group: '', version: groupVersion }
    : { group: groupVersion.slice(0, slash), version: groupVersion.slice(slash + 1) };
}

/** The `apiVersion` that objects of this kind carry: `v1`, `apps/v1`. */
export function apiVersionOf(kind: Kind): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

// core
export const Namespaces = clusterWide('v1', 'Namespace', 'namespaces');
export const Nodes = clusterWide('v1', 'Node', 'nodes');
export const Pods = namespaced('v1', 'Pod', 'pods');
export const Services = namespaced('v1', 'Service', 'services');
export const ServiceAccounts = namespaced('v1', 'ServiceAccount', 'serviceaccounts');
export const Secrets = namespaced('v1', 'Secret', 'secrets');
export const ConfigMaps = namespaced('v1', 'ConfigMap', 'configmaps');
export const Endpoints = namespaced('v1', 'Endpoints', 'endpoints');
export const EndpointSlices = namespaced('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices');

// workloads
export const Deployments = namespaced('apps/v1', 'Deployment', 'deployments');
export const StatefulSets = namespaced('apps/v1', 'StatefulSet', 'statefulsets');
export const DaemonSets = namespaced('apps/v1', 'DaemonSet', 'daemonsets');
export const ReplicaSets = namespaced('apps/v1', 'ReplicaSet', 'replicasets');
export const Jobs = namespaced('batch/v1', 'Job', 'jobs');
export const CronJobs = namespaced('batch/v1', 'CronJob', 'cronjobs');
export const HorizontalPodAutoscalers = namespaced(
  'autoscaling/v2',
  'HorizontalPodAutoscaler',
  'horizontalpodautoscalers',
);
export const PodDisruptionBudgets = namespaced('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets');

// coordination and events
export const Leases = namespaced('coordination.k8s.io/v1', 'Lease', 'leases');
export const Events = namespaced('events.k8s.io/v1', 'Event', 'events');

// rights
export const Roles = namespaced('rbac.authorization.k8s.io/v1', 'Role', 'roles');
export const RoleBindings = namespaced('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings');
export const ClusterRoles = clusterWide('rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles');
export const ClusterRoleBindings = clusterWide(
  'rbac.authorization.k8s.io/v1',
  'ClusterRoleBinding',
  'clusterrolebindings',
);
export const TokenReviews = clusterWide('authentication.k8s.io/v1', 'TokenReview', 'tokenreviews');
export const SubjectAccessReviews = clusterWide(
  'authorization.k8s.io/v1',
  'SubjectAccessReview',
  'subjectaccessreviews',
);
export const SelfSubjectAccessReviews = clusterWide(
  'authorization.k8s.io/v1',
  'SelfSubjectAccessReview',
  'selfsubjectaccessreviews',
);

// networking
export const NetworkPolicies = namespaced('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies');
export const Ingresses = namespaced('networking.k8s.io/v1', 'Ingress', 'ingresses');

// the API's own extension points
export const CustomResourceDefinitions = clusterWide(
  'apiextensions.k8s.io/v1',
  'CustomResourceDefinition',
  'customresourcedefinitions',
);
const admission = 'admissionregistration.k8s.io/v1';
export const MutatingWebhookConfigurations = clusterWide(
  admission,
  'MutatingWebhookConfiguration',
  'mutatingwebhookconfigurations',
);
export const ValidatingWebhookConfigurations = clusterWide(
  admission,
  'ValidatingWebhookConfiguration',
  'validatingwebhookconfigurations',
);
export const ValidatingAdmissionPolicies = clusterWide(
  admission,
  'ValidatingAdmissionPolicy',
  'validatingadmissionpolicies',
);
export const ValidatingAdmissionPolicyBindings = clusterWide(
  admission,
  'ValidatingAdmissionPolicyBinding',
  'validatingadmissionpolicybindings',
);

// ours
export const MeshConfigs = namespaced('config.openservicemesh.io/v1alpha2', 'MeshConfig', 'meshconfigs');
export const MeshRootCertificates = namespaced(
  'config.openservicemesh.io/v1alpha2',
  'MeshRootCertificate',
  'meshrootcertificates',
);
export const ExtensionServices = namespaced(
  'config.openservicemesh.io/v1alpha2',
  'ExtensionService',
  'extensionservices',
);
export const Egresses = namespaced('policy.openservicemesh.io/v1alpha1', 'Egress', 'egresses');
export const IngressBackends = namespaced('policy.openservicemesh.io/v1alpha1', 'IngressBackend', 'ingressbackends');
export const Retries = namespaced('policy.openservicemesh.io/v1alpha1', 'Retry', 'retries');
export const UpstreamTrafficSettings = namespaced(
  'policy.openservicemesh.io/v1alpha1',
  'UpstreamTrafficSetting',
  'upstreamtrafficsettings',
);
export const Telemetries = namespaced('policy.openservicemesh.io/v1alpha1', 'Telemetry', 'telemetries');

// cert-manager
export const CertificateRequests = namespaced('cert-manager.io/v1', 'CertificateRequest', 'certificaterequests');

// SMI. TrafficSplit is read at v1alpha4: the three served versions differ by `matches` alone, which only that one has,
// and the API server converts (strategy None) by keeping every field.
export const TrafficTargets = namespaced('access.smi-spec.io/v1alpha3', 'TrafficTarget', 'traffictargets');
export const HttpRouteGroups = namespaced('specs.smi-spec.io/v1alpha4', 'HTTPRouteGroup', 'httproutegroups');
export const TcpRoutes = namespaced('specs.smi-spec.io/v1alpha4', 'TCPRoute', 'tcproutes');
export const TrafficSplits = namespaced('split.smi-spec.io/v1alpha4', 'TrafficSplit', 'trafficsplits');
