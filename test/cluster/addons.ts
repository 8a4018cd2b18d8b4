import { ADDRESSES, CLUSTER_DOMAIN } from './layout.ts';
import { COREDNS_VERSION } from './programs.ts';

const namespace = 'kube-system';
const rbac = 'rbac.authorization.k8s.io';
const labels = { 'k8s-app': 'kube-dns' };

const corefile = `.:53 {
  errors
  ready
  reload
  kubernetes ${CLUSTER_DOMAIN} in-addr.arpa ip6.arpa
  cache 5
}
`;

/** Cluster DNS, as a List that `kubectl apply` takes: the objects that kubeadm makes too, with one replica. */
export const dnsObjects = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'coredns', namespace } },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name: 'system:coredns' },
      rules: [
        { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'system:coredns' },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'system:coredns' },
      subjects: [{ kind: 'ServiceAccount', name: 'coredns', namespace }],
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kube-dns', namespace, labels },
      spec: {
        clusterIP: ADDRESSES.dns[0],
        clusterIPs: ADDRESSES.dns,
        ipFamilyPolicy: 'RequireDualStack',
        selector: labels,
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP' },
          { name: 'dns-tcp', port: 53, protocol: 'TCP' },
        ],
      },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'coredns', namespace }, data: { Corefile: corefile } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'coredns', namespace, labels },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: 'coredns',
            priorityClassName: 'system-cluster-critical',
            dnsPolicy: 'Default', // its own service would be its resolver otherwise
            containers: [
              {
                name: 'coredns',
                image: `docker.io/coredns/coredns:${COREDNS_VERSION}`,
                imagePullPolicy: 'IfNotPresent',
                args: ['-conf', '/etc/coredns/Corefile'],
                resources: { requests: { cpu: '10m', memory: '32Mi' } },
                volumeMounts: [{ name: 'config', mountPath: '/etc/coredns' }],
                readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
              },
            ],
            volumes: [{ name: 'config', configMap: { name: 'coredns' } }],
          },
        },
      },
    },
  ],
};
