/** Names, ports and paths that injected pods share with the control plane, the kubelet and the user (docs/architecture.md). */

export const INIT_CONTAINER = 'osm-init';
export const SIDECAR_CONTAINER = 'envoy';

/** The user that only the sidecar may run as: the redirect rules let its traffic pass. */
export const SIDECAR_USER = 1500;

export const TOKEN_VOLUME = 'osm-token';
export const TOKEN_DIRECTORY = '/var/run/secrets/osm';
export const TOKEN_AUDIENCE = 'osm';
export const TOKEN_SECONDS = 3600;

export const TRUST_VOLUME = 'osm-trust';
export const TRUST_CONFIG_MAP = 'osm-trust';
export const TRUST_DIRECTORY = '/etc/osm/trust';

export const ADMIN_PORT = 15000;
export const OUTBOUND_PORT = 15001;
export const INBOUND_PORT = 15003;
export const METRICS_PORT = 15010;
export const READY_PORT = 15904;
export const XDS_PORT = 15128;

/** HTTP and TCP probes by kind, answered by path; lifecycle hooks share the first. */
export const PROBE_PORTS = { liveness: 15901, readiness: 15902, startup: 15903 } as const;

/** HTTPS and gRPC probes: one port for each port of the application that they ask. */
export const FIRST_RAW_PROBE_PORT = 15910;
export const LAST_RAW_PROBE_PORT = 15949;

export function isReservedPort(port: number): boolean {
  return (
    port === ADMIN_PORT ||
    port === OUTBOUND_PORT ||
    port === INBOUND_PORT ||
    port === METRICS_PORT ||
    (port >= PROBE_PORTS.liveness && port <= READY_PORT) ||
    (port >= FIRST_RAW_PROBE_PORT && port <= LAST_RAW_PROBE_PORT)
  );
}

/** Said in refusals, so that the user need not look it up. */
export const RESERVED_PORTS = '15000, 15001, 15003, 15010, 15901-15904 and 15910-15949';

export const MONITORED_BY = 'openservicemesh.io/monitored-by';
export const IGNORE = 'openservicemesh.io/ignore';
export const CONTROL_PLANE = 'control-plane';
export const SIDECAR_INJECTION = 'openservicemesh.io/sidecar-injection';
export const METRICS = 'openservicemesh.io/metrics';
export const PRESTOP_SLEEP = 'openservicemesh.io/prestop-sleep';
export const OUTBOUND_PORT_EXCLUSIONS = 'openservicemesh.io/outbound-port-exclusion-list';
export const INBOUND_PORT_EXCLUSIONS = 'openservicemesh.io/inbound-port-exclusion-list';
export const OUTBOUND_RANGE_EXCLUSIONS = 'openservicemesh.io/outbound-ip-range-exclusion-list';
export const OUTBOUND_RANGE_INCLUSIONS = 'openservicemesh.io/outbound-ip-range-inclusion-list';
export const POD_SECURITY_ENFORCE = 'pod-security.kubernetes.io/enforce';
export const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container';

/** Namespaces that are never meshed, whatever their labels say; the control plane's comes on top. */
export const SYSTEM_NAMESPACES = ['kube-system', 'kube-public', 'kube-node-lease'] as const;
