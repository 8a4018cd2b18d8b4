/** Small builders of views, so that a test says only what it is about. */
import type {
  EndpointAssignment,
  InboundChain,
  InboundRoute,
  InboundView,
  MeshEndpoint,
  OutboundVirtualHost,
  OutboundView,
  UpstreamCluster,
} from '#mesh/view.ts';
import type { TlsSettings } from '#mesh/objects.ts';

export const tls: TlsSettings = { minVersion: 'TLSv1_2', maxVersion: 'TLSv1_3', cipherSuites: [], ecdhCurves: [] };

export function outboundView(view: Partial<OutboundView> = {}): OutboundView {
  return {
    key: 'outbound',
    httpPorts: [],
    tcpServices: [],
    closedTcp: [],
    unknownDestinations: 'close',
    clusters: [],
    ipv6: false,
    ...view,
  };
}

export function inboundView(view: Partial<InboundView> = {}): InboundView {
  return {
    key: 'inbound',
    chains: [],
    plaintext: [],
    metrics: false,
    applicationAddress: '127.0.0.1',
    applicationIdleTimeoutMs: 2000,
    tls,
    maxConnectionMs: 3_600_000,
    ipv6: false,
    ...view,
  };
}

/** Cluster `shop/<service>|<port>|0` that the account `shop/<service>` may answer for. */
export function cluster(service: string, port: number, more: Partial<UpstreamCluster> = {}): UpstreamCluster {
  const name = `shop/${service}|${port}|0`;
  return {
    key: name,
    name,
    namespace: 'shop',
    service,
    port,
    discovery: 'endpoints',
    targetPort: undefined,
    protocol: 'http',
    sni: `${service}.shop.svc.cluster.local`,
    accounts: [`shop/${service}`],
    tls,
    connectTimeoutMs: 1000,
    maxConnectionMs: 3_600_000,
    ...more,
  };
}

/** Virtual host of `shop/<service>`, forwarding everything to `clusters` with equal weights. */
export function virtualHost(service: string, port: number, ...clusters: string[]): OutboundVirtualHost {
  const names = [service, `${service}.shop`, `${service}.shop.svc.cluster.local`];
  return {
    key: `vh ${service}`,
    name: `shop/${service}`,
    domains: names.flatMap((name) => [name, `${name}:${port}`]),
    action: {
      kind: 'forward',
      routes: [{ match: undefined, backends: clusters.map((name) => ({ cluster: name, weight: 1 })) }],
    },
  };
}

/** Inbound HTTP chain of `shop/<service>` on `targetPort`, for any Host unless said otherwise. */
export function httpChain(
  service: string,
  targetPort: number,
  routes: readonly InboundRoute[],
  domains: readonly string[] = ['*'],
): InboundChain {
  const name = `shop/${service}.${targetPort}`;
  return {
    key: name,
    name,
    targetPort,
    sni: `${service}.shop.svc.cluster.local`,
    protocol: 'http',
    policy: { kind: 'http', routes: { key: `r ${name}`, name: `inbound.${name}`, domains, routes } },
  };
}

/** A route for one path regex and accounts; `.*` and no account: nobody. */
export function inboundRoute(
  pathRegex: string,
  accounts: InboundRoute['allowed'],
  methods: string[] = [],
): InboundRoute {
  return {
    match: { pathRegex, methods, headers: [] },
    allowed: accounts,
    denial: { key: 'not-allowed', message: 'This account may not call this.' },
  };
}

export function assignment(name: string, ...addresses: readonly (readonly [string, number])[]): EndpointAssignment {
  return {
    cluster: name,
    localities: [{ zone: 'a', priority: 0, endpoints: addresses.map(([address, port]) => endpoint(address, port)) }],
  };
}

export function endpoint(address: string, port: number): MeshEndpoint {
  return { address, port, workload: { namespace: 'shop', kind: 'Deployment', name: 'shop', pod: `pod-${address}` } };
}
