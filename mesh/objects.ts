/**
 * What the compiler reads: the fields of cluster objects that the mesh uses, parsed and defaulted, in neutral form.
 * `controller/` makes them from raw API objects; nothing in here is a Kubernetes client type.
 */
import type { Meaning } from '#crds/on-off.ts';
import type { AccountKey } from './identity.ts';

/** Everything that one compile sees. Order of the arrays never matters to the result. */
export interface MeshObjects {
  readonly config: MeshSettings;
  readonly namespaces: readonly NamespaceObject[];
  readonly services: readonly ServiceObject[];
  readonly endpointSlices: readonly EndpointSliceObject[];
  readonly pods: readonly PodObject[];
  readonly nodes: readonly NodeObject[];
  readonly trafficTargets: readonly TrafficTargetObject[];
  readonly httpRouteGroups: readonly HttpRouteGroupObject[];
  readonly tcpRoutes: readonly TcpRouteObject[];
  readonly trafficSplits: readonly TrafficSplitObject[];
}

/** The part of MeshConfig that shapes the data plane. */
export interface MeshSettings {
  readonly meshName: string;
  /** Namespace of the control plane. */
  readonly namespace: string;
  /** DNS domain of the cluster, `cluster.local` by default. */
  readonly clusterDomain: string;
  readonly permissive: boolean;
  readonly egress: boolean;
  /** Where a sidecar forwards inbound traffic to. */
  readonly localProxyMode: 'Localhost' | 'PodIP';
  readonly tls: TlsSettings;
  /** Idle time after which a connection to the application is closed, in milliseconds. */
  readonly applicationIdleTimeoutMs: number;
  /** Age at which an HTTP connection between sidecars takes no further request, in milliseconds; 0 for never. */
  readonly maxConnectionMs: number;
}

export interface TlsSettings {
  readonly minVersion: 'TLS_AUTO' | 'TLSv1_0' | 'TLSv1_1' | 'TLSv1_2' | 'TLSv1_3';
  readonly maxVersion: 'TLS_AUTO' | 'TLSv1_0' | 'TLSv1_1' | 'TLSv1_2' | 'TLSv1_3';
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
}

/** Name, age and identity that every object brings. `created` is RFC 3339, as the API server writes it. */
export interface Meta {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly created: string;
}

/** A namespace that this mesh watches (label `openservicemesh.io/monitored-by`), or the control plane's. */
export interface NamespaceObject {
  readonly name: string;
  readonly monitored: boolean;
  /** What its annotation `openservicemesh.io/accept-plaintext` says for pods that say nothing themselves. */
  readonly acceptPlaintext: Meaning;
}

export interface ServiceObject extends Meta {
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  /** Empty for headless services. */
  readonly clusterIPs: readonly string[];
  readonly headless: boolean;
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly ServicePortObject[];
}

export interface ServicePortObject {
  /** Empty when the service has one unnamed port. */
  readonly name: string;
  readonly port: number;
  /** A number, or the name of a container port. */
  readonly targetPort: number | string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly appProtocol: string | undefined;
}

export interface EndpointSliceObject extends Meta {
  /** Name of the service (label `kubernetes.io/service-name`). */
  readonly service: string;
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
  readonly endpoints: readonly EndpointObject[];
}

export interface EndpointObject {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  /** Set for pods of a StatefulSet: `<hostname>.<service>` is a name of its own. */
  readonly hostname: string | undefined;
  /** Name of the pod behind it, in the slice's namespace. */
  readonly pod: string | undefined;
  readonly zone: string | undefined;
  /** Zones whose clients should use it (`hints.forZones`), sorted; empty without hints. */
  readonly hintZones: readonly string[];
}

export interface PodObject extends Meta {
  readonly labels: Readonly<Record<string, string>>;
  readonly account: AccountKey;
  readonly node: string;
  /** `<hostname>.<service>` is its name in a headless service: `spec.hostname`, or the pod's own name. */
  readonly hostname: string;
  readonly ips: readonly string[];
  /** True when the pod carries our sidecar. */
  readonly meshed: boolean;
  /** True when its metrics listener (15010) is asked for. */
  readonly metrics: boolean;
  /** What its own annotation `openservicemesh.io/accept-plaintext` says. */
  readonly acceptPlaintext: Meaning;
  /** Ports that the pod's containers name. */
  readonly namedPorts: Readonly<Record<string, number>>;
  /** The workload that owns it, for metric labels, e.g. Deployment `bookstore`. */
  readonly workload: { readonly kind: string; readonly name: string };
}

export interface NodeObject {
  readonly name: string;
  /** Label `topology.kubernetes.io/zone`, empty when absent. */
  readonly zone: string;
}

export interface AccountRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface TrafficTargetObject extends Meta {
  readonly destination: AccountRef;
  readonly sources: readonly AccountRef[];
  readonly rules: readonly { readonly kind: string; readonly name: string; readonly matches: readonly string[] }[];
}

export interface HttpRouteGroupObject extends Meta {
  readonly matches: readonly HttpRouteMatchObject[];
}

export interface HttpRouteMatchObject {
  readonly name: string;
  /** RE2, full match; `.*` when the user gave none. */
  readonly pathRegex: string;
  /** `['*']` when the user gave none. */
  readonly methods: readonly string[];
  /** Header name (lower case) to RE2 full match; both of the user's spellings are merged here. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface TcpRouteObject extends Meta {
  /** Target ports; empty means any. */
  readonly ports: readonly number[];
}

export interface TrafficSplitObject extends Meta {
  /** As the user wrote it: `name`, `name.namespace` or a full host name. */
  readonly service: string;
  readonly backends: readonly { readonly service: string; readonly weight: number }[];
  /** Names of HTTPRouteGroups (v1alpha4); empty means all traffic. */
  readonly matches: readonly { readonly kind: string; readonly name: string }[];
}
