import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ADDRESSES, CLUSTER_DOMAIN, kubeconfigOf, type Layout, NODE_NAME, SERVICE_ACCOUNT_ISSUER } from './layout.ts';

/** The programs of a cluster, in the order in which they can be started; stopping goes the other way. */
export const COMPONENTS = [
  'containerd',
  'etcd',
  'apiserver',
  'controller-manager',
  'scheduler',
  'kubelet',
  'kube-proxy',
] as const;

export type Component = (typeof COMPONENTS)[number];

/** The component of that name. Throws with the list of names when there is none. */
export function componentNamed(name: string): Component {
  const found = COMPONENTS.find((component) => component === name);
  if (found === undefined) throw new Error(`no component is named "${name}": there are ${COMPONENTS.join(', ')}`);
  return found;
}

/** The command line of a component. `kube` is the path of the binary that holds all of Kubernetes. */
export function commandOf(component: Component, layout: Layout, kube: string): string[] {
  const pki = (file: string): string => join(layout.pki, file);
  const kubeconfig = kubeconfigOf(layout, component);
  switch (component) {
    case 'containerd':
      return ['containerd', '--config', join(layout.state, 'containerd.toml')];
    case 'etcd':
      return [
        kube,
        'etcd',
        `--data-dir=${join(layout.state, 'etcd')}`,
        '--unsafe-no-fsync', // a test cluster may lose its data with the machine's power, and is twice as fast
        '--log-level=warn',
        '--listen-client-urls=http://127.0.0.1:2379',
        '--advertise-client-urls=http://127.0.0.1:2379',
        '--listen-peer-urls=http://127.0.0.1:2380',
      ];
    case 'apiserver':
      return [
        kube,
        'kube-apiserver',
        '--etcd-servers=http://127.0.0.1:2379',
        '--secure-port=6443',
        `--advertise-address=${ADDRESSES.node[0]}`, // endpoints of default/kubernetes: loopback would be the pod's own
        `--service-cluster-ip-range=${ADDRESSES.serviceRanges.join(',')}`,
        `--client-ca-file=${pki('ca.crt')}`,
        `--tls-cert-file=${pki('apiserver.crt')}`,
        `--tls-private-key-file=${pki('apiserver.key')}`,
        `--service-account-key-file=${pki('sa.pub')}`,
        `--service-account-signing-key-file=${pki('sa.key')}`,
        `--service-account-issuer=${SERVICE_ACCOUNT_ISSUER}`,
        '--authorization-mode=Node,RBAC',
        '--enable-admission-plugins=NodeRestriction',
        '--allow-privileged=true',
        `--kubelet-client-certificate=${pki('admin.crt')}`,
        `--kubelet-client-key=${pki('admin.key')}`,
        `--kubelet-certificate-authority=${pki('ca.crt')}`,
        '--kubelet-preferred-address-types=InternalIP', // the node's name resolves nowhere
        `--requestheader-client-ca-file=${pki('ca.crt')}`,
        '--requestheader-allowed-names=front-proxy-client',
        '--requestheader-username-headers=X-Remote-User',
        '--requestheader-group-headers=X-Remote-Group',
        '--requestheader-extra-headers-prefix=X-Remote-Extra-',
        `--proxy-client-cert-file=${pki('front-proxy.crt')}`,
        `--proxy-client-key-file=${pki('front-proxy.key')}`,
      ];
    case 'controller-manager':
      return [
        kube,
        'kube-controller-manager',
        `--kubeconfig=${kubeconfig}`,
        `--authentication-kubeconfig=${kubeconfig}`,
        `--authorization-kubeconfig=${kubeconfig}`,
        '--use-service-account-credentials',
        `--service-account-private-key-file=${pki('sa.key')}`,
        `--root-ca-file=${pki('ca.crt')}`,
        `--cluster-signing-cert-file=${pki('ca.crt')}`,
        `--cluster-signing-key-file=${pki('ca.key')}`,
        '--allocate-node-cidrs',
        `--cluster-cidr=${ADDRESSES.podRanges.join(',')}`,
        `--service-cluster-ip-range=${ADDRESSES.serviceRanges.join(',')}`,
        '--leader-elect=false',
      ];
    case 'scheduler':
      return [
        kube,
        'kube-scheduler',
        `--kubeconfig=${kubeconfig}`,
        `--authentication-kubeconfig=${kubeconfig}`,
        `--authorization-kubeconfig=${kubeconfig}`,
        '--leader-elect=false',
      ];
    case 'kubelet':
      return [
        kube,
        'kubelet',
        `--config=${join(layout.state, 'kubelet.yaml')}`,
        `--kubeconfig=${kubeconfig}`,
        `--hostname-override=${NODE_NAME}`,
        `--node-ip=${ADDRESSES.node.join(',')}`,
        `--root-dir=${join(layout.state, 'kubelet')}`,
      ];
    case 'kube-proxy':
      return [kube, 'kube-proxy', `--config=${join(layout.state, 'kube-proxy.yaml')}`];
  }
}

/** Writes the configuration files that the command lines name; what is right already is not touched. */
export function writeConfiguration(layout: Layout): void {
  for (const folder of [layout.logs, layout.podLogs, layout.run, join(layout.state, 'cni')]) {
    mkdirSync(folder, { recursive: true });
  }
  writeIfChanged(join(layout.state, 'containerd.toml'), containerdConfiguration(layout));
  writeJson(join(layout.state, 'cni', '10-bridge.conflist'), cniConfiguration(layout));
  writeJson(join(layout.state, 'kubelet.yaml'), kubeletConfiguration(layout));
  writeJson(join(layout.state, 'kube-proxy.yaml'), kubeProxyConfiguration(layout));
}

function containerdConfiguration(layout: Layout): string {
  const text = (value: string): string => JSON.stringify(value);
  return `version = 2
root = ${text(join(layout.state, 'containerd'))}
state = ${text(join(layout.run, 'containerd'))}
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = ${text(layout.containerdSocket)}
[plugins."io.containerd.internal.v1.opt"]
path = ${text(join(layout.state, 'opt'))}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.k8s.io/pause:3.10"
# Without CAP_SYS_RESOURCE, which containers and sandboxes lack, a negative oom_score_adj is refused and no pod starts.
restrict_oom_score_adj = true
# The pods' namespaces under the cluster's own folder, not in /run/netns: what is whose is then never in doubt.
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = ${text(join(layout.state, 'cni'))}
`;
}

function cniConfiguration(layout: Layout): object {
  return {
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true, // a pod reaches itself through its own service
        ipam: {
          type: 'host-local',
          dataDir: join(layout.run, 'ipam'),
          ranges: ADDRESSES.nodePodRanges.map((subnet) => [{ subnet }]),
          routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

function kubeletConfiguration(layout: Layout): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${layout.cgroup}`, // the default, /kubepods, would be shared by all clusters
    enforceNodeAllocatable: [],
    failSwapOn: false,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: join(layout.pki, 'ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    clusterDNS: [ADDRESSES.dns[0]],
    clusterDomain: CLUSTER_DOMAIN,
    resolvConf: '/dev/null',
    containerRuntimeEndpoint: `unix://${layout.containerdSocket}`,
    tlsCertFile: join(layout.pki, 'kubelet.crt'),
    tlsPrivateKeyFile: join(layout.pki, 'kubelet.key'),
    podLogsDir: layout.podLogs,
    volumePluginDir: join(layout.state, 'volume-plugins'),
    imageGCHighThresholdPercent: 100, // images come from archives: one that is collected cannot be pulled again
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '1%',
      'imagefs.available': '1%',
      'nodefs.inodesFree': '1%',
    },
    maxPods: 250,
  };
}

function kubeProxyConfiguration(layout: Layout): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clusterCIDR: ADDRESSES.podRanges.join(','),
    hostnameOverride: NODE_NAME,
    clientConnection: { kubeconfig: kubeconfigOf(layout, 'kube-proxy') },
    // These limits belong to the machine, not to the namespace: they are left as they are.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
}

/** JSON where YAML is read: YAML contains it. */
function writeJson(path: string, value: object): void {
  writeIfChanged(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** kube-proxy ends when its configuration file is written, even with what it held. */
function writeIfChanged(path: string, text: string): void {
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}
