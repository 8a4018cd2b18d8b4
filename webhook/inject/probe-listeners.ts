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
    clusters.set(name, target.kind === 'tcp' ? { ...plain, ...connectChecks } : plain);
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

function clusterName(target: ProbeTarget): string {
  return `${target.kind === 'tcp' ? 't' : 'a'}${target.port}`;
}

function listenerFilter(group: readonly ProbeTarget[]): EnvoyObject {
  const [first] = group;
  if (first && (first.kind === 'https' || first.kind === 'grpc')) {
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
    routes: group.filter((target) => target.kind === 'http').map(httpRoute),
    filters: group.filter((target) => target.kind === 'tcp').map(connectFilter),
  });
}

function httpRoute(target: ProbeTarget): EnvoyObject {
  return {
    match: { path: probePath(target) },
    // The kubelet hangs up after the probe's own time-out; a second clock here could only disagree with it.
    route: { cluster: clusterName(target), prefix_rewrite: target.path, timeout: '0s' },
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
