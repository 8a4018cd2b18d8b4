/**
 * Envoy's bootstrap. It stands in the sidecar's arguments, so that a pod needs nothing but the trust ConfigMap to start:
 * it is kept small. `$(POD_IP)` is filled in by the kubelet; every other `$` is escaped for it.
 */
import { ADMIN_PORT, READY_PORT, TOKEN_DIRECTORY, TRUST_DIRECTORY, XDS_PORT } from './names.ts';
import {
  type EnvoyObject,
  POD_ADDRESS,
  assignment,
  httpFilter,
  socketAddress,
  staticCluster,
  typeUrl,
} from './envoy.ts';
import { probeClusters, probeListeners } from './probe-listeners.ts';
import { type ProbeTarget, sharedPort } from './probes.ts';
import { type Delay, delayFilter, delayRoute } from './shutdown.ts';

/**
 * RE2 of statistics that Envoy makes for every cluster of the mesh at once, used or not, and that say nothing of its traffic:
 * two thirds of what such a cluster has. Only theirs (`<namespace>/<service>|…`): an actively checked cluster of a probe
 * answers 503 for ever without its `membership_*`.
 */
const UNREAD_STATISTICS =
  'cluster[.][^.]+[|][^.]+[.](assignment_|circuit_breakers|client_ssl|default|init_fetch|lb_|max_host|ssl[.]ocsp|update_|version|warming).*';

export interface BootstrapOptions {
  readonly controlPlaneNamespace: string;
  readonly probes: readonly ProbeTarget[];
  /** What an ordinary sidecar answers late on its ready port (shutdown.ts); none where it is native. */
  readonly delays?: readonly Delay[];
}

export function bootstrap(options: BootstrapOptions): EnvoyObject {
  const ads = {
    ads: {},
    resource_api_version: 'V3',
    // Never: Envoy would otherwise call itself ready after 15 s with no configuration at all.
    initial_fetch_timeout: '0s',
  };
  return {
    // What the probes were before, so that a second injection finds the user's own again.
    node: { metadata: { probes: options.probes.map(writeTarget) } },
    admin: { address: socketAddress('127.0.0.1', ADMIN_PORT) },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'osm-controller' } }],
      },
      lds_config: ads,
      cds_config: ads,
    },
    // A cluster's statistics of its traffic, and its part of each worker, are made when its first request needs them.
    deferred_stat_options: { enable_deferred_creation_stats: true },
    cluster_manager: { enable_deferred_cluster_creation: true },
    stats_config: { stats_matcher: { exclusion_list: { patterns: [{ safe_regex: { regex: UNREAD_STATISTICS } }] } } },
    // Envoy refuses expressions above 100 RE2 instructions unless told otherwise, and the identity of one long account takes 340.
    layered_runtime: {
      layers: [{ name: 'static', static_layer: { 're2.max_program_size.error_level': 32768 } }],
    },
    static_resources: {
      listeners: [readyListener(options.delays ?? []), ...probeListeners(options.probes)],
      clusters: [
        controllerCluster(options.controlPlaneNamespace),
        staticCluster('envoy-admin', ADMIN_PORT),
        ...probeClusters(options.probes),
      ],
    },
  };
}

/** The bootstrap as an argument of a container: JSON in which the kubelet expands POD_ADDRESS and nothing else. */
export function bootstrapArgument(options: BootstrapOptions): string {
  const escaped = JSON.stringify(bootstrap(options)).replaceAll('$', '$$$$');
  // Between quotes it is a whole value: a user's path may hold the same letters, but starts with a slash.
  return escaped.replaceAll(`"$${POD_ADDRESS}"`, () => `"${POD_ADDRESS}"`);
}

/** Reads back the probes of an argument that `bootstrapArgument` wrote; undefined when it did not. */
export function readProbes(argument: string): ProbeTarget[] | undefined {
  let parsed: { node?: { metadata?: { probes?: unknown } } };
  try {
    parsed = JSON.parse(argument.replaceAll('$$', '$')) as typeof parsed;
  } catch {
    return undefined;
  }
  const lines = parsed.node?.metadata?.probes ?? [];
  if (!Array.isArray(lines)) return undefined;
  const targets = lines.map((line) => (typeof line === 'string' ? readTarget(line) : undefined));
  return targets.every((target) => target !== undefined) ? targets : undefined;
}

/** `<slot> <container> <kind> <port>`, then the port that listens (https, grpc) or the path (http). */
function writeTarget({ slot, container, kind, port, listen, path }: ProbeTarget): string {
  const rest = kind === 'http' ? ` ${path}` : kind === 'tcp' ? '' : ` ${listen}`;
  return `${slot} ${container} ${kind} ${port}${rest}`;
}

const targetPattern = /^(liveness|readiness|startup|poststart|prestop) (\S+) (http|tcp|https|grpc) (\d+)(?: (.*))?$/s;

function readTarget(line: string): ProbeTarget | undefined {
  const [, slot, container, kind, port, rest = ''] = targetPattern.exec(line) ?? [];
  if (slot === undefined || container === undefined || kind === undefined) return undefined;
  const target = {
    slot: slot as ProbeTarget['slot'],
    container,
    kind: kind as ProbeTarget['kind'],
    port: Number(port),
  };
  const raw = target.kind === 'https' || target.kind === 'grpc';
  return {
    ...target,
    listen: raw ? Number(rest) : sharedPort(target.slot),
    path: target.kind === 'http' ? rest : '',
  };
}

function readyListener(delays: readonly Delay[]): EnvoyObject {
  return {
    name: 'ready',
    address: socketAddress(POD_ADDRESS, READY_PORT),
    filter_chains: [
      {
        filters: [
          httpFilter({
            routes: [{ match: { path: '/ready' }, route: { cluster: 'envoy-admin' } }, ...delays.map(delayRoute)],
            filters: delays.length > 0 ? [delayFilter] : [],
            ...(delays.length > 0 && { patient: true }),
          }),
        ],
      },
    ],
  };
}

function controllerCluster(namespace: string): EnvoyObject {
  const host = `osm-controller.${namespace}.svc`;
  const sds = (name: string, file: string, watched: string) => ({
    name,
    sds_config: {
      path_config_source: { path: `${TRUST_DIRECTORY}/${file}`, watched_directory: { path: watched } },
      resource_api_version: 'V3',
    },
  });
  return {
    name: 'osm-controller',
    type: 'STRICT_DNS',
    dns_lookup_family: 'V4_PREFERRED',
    connect_timeout: '5s',
    load_assignment: assignment(host, XDS_PORT),
    upstream_connection_options: {
      tcp_keepalive: { keepalive_probes: 5, keepalive_time: 60, keepalive_interval: 5 },
    },
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
        sni: host,
        common_tls_context: {
          tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
          alpn_protocols: ['h2'],
          validation_context_sds_secret_config: sds('xds-roots', 'roots.yaml', TRUST_DIRECTORY),
        },
      },
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: {
          // A controller that vanished without a word is noticed in 40 s, not when the kernel gives up.
          http2_protocol_options: { connection_keepalive: { interval: '30s', timeout: '10s' } },
        },
        http_filters: [
          {
            name: 'envoy.filters.http.credential_injector',
            typed_config: {
              '@type': typeUrl('envoy.extensions.filters.http.credential_injector.v3.CredentialInjector'),
              overwrite: true,
              credential: {
                name: 'envoy.http.injected_credentials.generic',
                typed_config: {
                  '@type': typeUrl('envoy.extensions.http.injected_credentials.generic.v3.Generic'),
                  credential: sds('xds-token', 'token.yaml', TOKEN_DIRECTORY),
                  header: 'authorization',
                },
              },
            },
          },
          {
            name: 'envoy.filters.http.upstream_codec',
            typed_config: { '@type': typeUrl('envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec') },
          },
        ],
      },
    },
  };
}
