/** Small pieces of Envoy's configuration, as JSON. Names are short where nobody reads them: they stand in arguments. */

/** Address of the pod, filled in by the kubelet (environment of the sidecar). */
export const POD_ADDRESS = '$(POD_IP)';

/** A JSON object of Envoy's configuration; its shape is Envoy's, and Envoy checks it in the tests. */
export type EnvoyObject = Readonly<Record<string, unknown>>;

export function typeUrl(message: string): string {
  return `type.googleapis.com/${message}`;
}

export function socketAddress(address: string, port: number): EnvoyObject {
  return { socket_address: { address, port_value: port } };
}

export function assignment(address: string, port: number): EnvoyObject {
  return {
    // Required, and without meaning outside EDS.
    cluster_name: '-',
    endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(address, port) } }] }],
  };
}

/** A cluster of one address, on the pod's own loopback. */
export function staticCluster(name: string, port: number): EnvoyObject {
  return { name, load_assignment: assignment('127.0.0.1', port) };
}

export interface HttpParts {
  readonly routes: readonly EnvoyObject[];
  /** HTTP filters before the router. */
  readonly filters: readonly EnvoyObject[];
  /** Lets a request wait for its answer beyond Envoy's five minutes. */
  readonly patient?: boolean;
}

/** An HTTP connection manager for callers that are the kubelet. */
export function httpFilter(parts: HttpParts): EnvoyObject {
  return {
    name: 'h',
    typed_config: {
      '@type': typeUrl('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: 'k',
      ...(parts.patient && { stream_idle_timeout: '0s' }),
      route_config: parts.routes.length === 0 ? {} : routesFor(parts.routes),
      http_filters: [
        ...parts.filters,
        { name: 'r', typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router') } },
      ],
    },
  };
}

function routesFor(routes: readonly EnvoyObject[]): EnvoyObject {
  return {
    virtual_hosts: [
      {
        name: '-',
        domains: ['*'],
        routes,
      },
    ],
  };
}
