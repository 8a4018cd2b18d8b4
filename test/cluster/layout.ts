import { join } from 'node:path';
import { stateDirectory } from './paths.ts';

/** Addresses inside a cluster's network namespace; the same in each cluster, since no two share a namespace. */
export const ADDRESSES = {
  node: ['10.200.0.1', 'fd00:200::1'],
  podRanges: ['10.244.0.0/16', 'fd00:10:244::/56'],
  /** The first subnets of podRanges, which the controller manager gives to the only node. */
  nodePodRanges: ['10.244.0.0/24', 'fd00:10:244::/64'],
  serviceRanges: ['10.96.0.0/16', 'fd00:10:96::/112'],
  /** The first addresses of serviceRanges: Service `default/kubernetes`. */
  api: ['10.96.0.1', 'fd00:10:96::1'],
  dns: ['10.96.0.10', 'fd00:10:96::a'],
} as const;

export const NODE_NAME = 'node';
export const CLUSTER_DOMAIN = 'cluster.local';

/** The issuer of the cluster's service-account tokens, as their `iss` claim has it. */
export const SERVICE_ACCOUNT_ISSUER = `https://kubernetes.default.svc.${CLUSTER_DOMAIN}`;

/** Where everything of one cluster is: derived from its name alone, so that any process finds it. */
export interface Layout {
  readonly name: string;
  /** Survives a reboot: keys, etcd's data, images. */
  readonly state: string;
  /** Does not: sockets, process ids, containerd's mounts. Short, since a socket's path has at most 107 bytes. */
  readonly run: string;
  readonly pki: string;
  readonly logs: string;
  /** Where the kubelet writes the pods' logs; the default, /var/log/pods, would be shared by all clusters. */
  readonly podLogs: string;
  readonly containerdSocket: string;
  /** Path of the network namespace, as `nsenter --net=` takes it. */
  readonly netns: string;
  readonly netnsName: string;
  /** The cluster's cgroup, relative to each hierarchy's root. */
  readonly cgroup: string;
}

/**
 * The layout of the cluster `name`.
 * Throws when the name is not one (lower-case letters, digits and inner hyphens, 24 characters at most).
 */
export function layoutOf(name: string): Layout {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?$/u.test(name)) {
    throw new Error(
      `"${name}" cannot name a cluster: use up to 24 lower-case letters, digits and hyphens, with no hyphen at the ends`,
    );
  }
  const state = join(stateDirectory(), name);
  const run = join('/run/open-service-mesh', name);
  const netnsName = `osm-cluster-${name}`;
  return {
    name,
    state,
    run,
    pki: join(state, 'pki'),
    logs: join(state, 'log'),
    podLogs: join(state, 'pod-logs'),
    containerdSocket: join(run, 'containerd.sock'),
    netns: join('/run/netns', netnsName),
    netnsName,
    cgroup: netnsName,
  };
}

/** Path of the kubeconfig of one of the cluster's users. */
export function kubeconfigOf(layout: Layout, user: string): string {
  return join(layout.state, `${user}.kubeconfig`);
}
