/** The static listeners and clusters that answer the kubelet's rewritten probes. */
import { type EnvoyObject, POD_ADDRESS, httpFilter, socketAddress, staticCluster, typeUrl } from './envoy.ts';
import { type ProbeTarget, probePath } from './probes.ts';

/** One listener for each port that the kubelet asks. */
export function probeListeners(targets: readonly ProbeTarget[]): EnvoyObject[] {
  return [...Map.groupBy(targets, (target) => target.listen)].map(([port, group]) => ({
    address: socketAddress(POD_ADDRESS, port),
    filter_chains: [{ filters: [listenerFilter(group)] }],
  }));
}

/** One cluster for each port of the application and way to ask it. */
export function probeClusters(targets: readonly ProbeTarget[]): EnvoyObject[] {
  const clusters = new Map<string, EnvoyObject>();
  for (const target of targets) {
    const name = clusterName(target);
    const plain = staticCluster(name, target.port);
    clusters.set(name, { ...plain, ...connection[target.kind] });
  }
  return [...clusters.values()];
}

/** Connects every second, so that a stopped application is noticed within three. */
const connectChecks: EnvoyObject = {
  health_checks: [
    {
      timeout: '1s',
      interval: '1s',
      no_traffic_interval: '1s',
      unhealthy_threshold: 1,
      healthy_threshold: 1,
      tcp_health_check: {},
    },
  ],
};

const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

const connection: Readonly<Record<ProbeTarget['kind'], EnvoyObject>> = {
  http: {},
  grpc: {
    typed_extension_protocol_options: {
      [options]: { '@type': typeUrl(options), explicit_http_config: { http2_protocol_options: {} } },
    },
  },
  tcp: connectChecks,
  https: {},
};

const clusterPrefix: Readonly<Record<ProbeTarget['kind'], string>> = { http: 'a', grpc: 'g', tcp: 't', https: 's' };

function clusterName(target: ProbeTarget): string {
  return `${clusterPrefix[target.kind]}${target.port}`;
}

function listenerFilter(group: readonly ProbeTarget[]): EnvoyObject {
  // The application's own TLS cannot be looked into. A port that answers gRPC and HTTPS alike is asked over TLS.
  const first = group.find((target) => target.kind === 'https');
  if (first) {
    return {
      name: 'tcp',
      typed_config: {
        '@type': typeUrl('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
        stat_prefix: 'k',
        cluster: clusterName(first),
      },
    };
  }
  return httpFilter({
    routes: group.filter((target) => target.kind !== 'tcp').map(httpRoute),
    filters: group.filter((target) => target.kind === 'tcp').map(connectFilter),
  });
}

/**
 * The kubelet's own question and no other: these ports stand outside the mesh, for everybody who reaches the pod. The
 * whole `:path` is compared, since a caller's own query would otherwise be passed on.
 */
function httpRoute(target: ProbeTarget): EnvoyObject {
  // The kubelet hangs up after the probe's own time-out; a second clock here could only disagree with it.
  const to = { cluster: clusterName(target), timeout: '0s' };
  if (target.kind === 'grpc') return { match: { path: '/grpc.health.v1.Health/Check' }, route: to };
  const path = probePath(target);
  const exactly = (name: string, exact: string) => ({ name, string_match: { exact } });
  return {
    match: { path, headers: [exactly(':path', path), exactly(':method', 'GET')] },
    // The kubelet would follow a redirect to the sidecar's port; without the place it takes the 3xx as success.
    response_headers_to_remove: ['location'],
    // A connection that is kept may close under the next question; the kubelet makes a new one each time.
    route: { ...to, retry_policy: { retry_on: 'reset' }, prefix_rewrite: target.path },
  };
}

function connectFilter(target: ProbeTarget): EnvoyObject {
  return {
    name: 'c',
    typed_config: {
      '@type': typeUrl('envoy.extensions.filters.http.health_check.v3.HealthCheck'),
      pass_through_mode: false,
      headers: [{ name: ':path', string_match: { exact: probePath(target) } }],
      cluster_min_healthy_percentages: { [clusterName(target)]: { value: 1 } },
    },
  };
}
