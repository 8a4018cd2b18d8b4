/**
 * The peer of the data-plane benchmark: the least that an Envoy can do to carry HTTP over mTLS. One listener, one route,
 * the router and nothing else, written by hand.
 *
 * Where Envoy's defaults would cost it work that our configuration does not do (a request id, headers of its own, a timer
 * for each request), they are off here too: the peer is the smallest pair, not the one that flatters us.
 */
import type { Bootstrap } from '#test/support/envoy.ts';
import type { SidecarSecrets } from '#xds/translate/translate.ts';

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** Plain HTTP on `listen`, mTLS to `upstream`. */
export function plainClient(listen: SocketAddress, upstream: SocketAddress, secrets: SidecarSecrets): Bootstrap {
  return {
    static_resources: {
      listeners: [httpListener(listen, router('upstream'))],
      clusters: [
        cluster('upstream', upstream, {
          transport_socket: tls('UpstreamTlsContext', { sni: 'plain', common_tls_context: tlsContext(secrets) }),
        }),
      ],
    },
  };
}

/** mTLS on `listen`, plain HTTP to `application`. */
export function plainServer(listen: SocketAddress, application: SocketAddress, secrets: SidecarSecrets): Bootstrap {
  const transport_socket = tls('DownstreamTlsContext', {
    require_client_certificate: true,
    common_tls_context: tlsContext(secrets),
  });
  return {
    static_resources: {
      listeners: [httpListener(listen, router('application'), { transport_socket })],
      clusters: [cluster('application', application)],
    },
  };
}

/** The application behind both pairs: answers every request with 200 and a short body. */
export function application(listen: SocketAddress): Bootstrap {
  const answer = { direct_response: { status: 200, body: { inline_string: 'hello\n' } } };
  return { static_resources: { listeners: [httpListener(listen, answer)] } };
}

function router(cluster: string) {
  return { route: { cluster, timeout: '0s' } };
}

function httpListener(listen: SocketAddress, action: object, chain: object = {}) {
  const manager = {
    '@type': typeUrl('filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'http',
    generate_request_id: false,
    server_header_transformation: 'PASS_THROUGH',
    stream_idle_timeout: '0s',
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, ...action }] }],
    },
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': typeUrl('filters.http.router.v3.Router'), suppress_envoy_headers: true },
      },
    ],
  };
  return {
    name: 'http',
    address: socketAddress(listen),
    filter_chains: [
      { ...chain, filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
    ],
  };
}

function cluster(name: string, endpoint: SocketAddress, more: object = {}) {
  return {
    name,
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(endpoint) } }] }],
    },
    ...more,
  };
}

/** Certificate, key and roots of the kind that a sidecar has, and the TLS versions of a mesh's defaults. */
function tlsContext({ workload, roots }: SidecarSecrets) {
  return {
    tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
    tls_certificates: [
      {
        certificate_chain: { inline_string: workload.certificateChain },
        private_key: { inline_string: workload.privateKey() },
      },
    ],
    validation_context: { trusted_ca: { inline_string: Object.values(roots).join('\n') } },
  };
}

function tls(message: string, context: object) {
  const type = typeUrl(`transport_sockets.tls.v3.${message}`);
  return { name: 'envoy.transport_sockets.tls', typed_config: { '@type': type, ...context } };
}

function socketAddress({ address, port }: SocketAddress) {
  return { socket_address: { address, port_value: port } };
}

function typeUrl(extension: string): string {
  return `type.googleapis.com/envoy.extensions.${extension}`;
}
