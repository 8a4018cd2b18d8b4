/**
 * What one sidecar may see, in neutral terms. Parts are shared: for the same `key` the mesh returns the same object,
 * so `xds/translate` encodes each part once, however many sidecars hold it. Nothing here knows Envoy.
 */
import type { AccountKey } from './identity.ts';
import type { TlsSettings } from './objects.ts';

/** Everything that a sidecar's configuration is a function of (endpoints and secrets travel apart). */
export interface ProxyView {
  readonly outbound: OutboundView;
  readonly inbound: InboundView;
}

/** The pod that a view is made for. */
export interface ProxyPod {
  readonly namespace: string;
  readonly name: string;
  readonly account: AccountKey;
  readonly ips: readonly string[];
  readonly zone: string;
}

/** Which peers a filter or a certificate check lets through. */
export type Peers =
  | { readonly kind: 'any-mesh-identity' }
  | { readonly kind: 'accounts'; readonly accounts: readonly AccountKey[] };

/** `key` and `message` of a refusal; `key` is what the caller reads in `x-osm-denied`. */
export interface Denial {
  readonly key: 'not-allowed' | 'no-route' | 'no-such-host';
  /** One sentence for the response body; it names whom the call was for, never the caller, so that all callers share it. */
  readonly message: string;
}

// ---- outbound ----

export interface OutboundView {
  readonly key: string;
  /** Sorted by port. One HTTP connection manager each. */
  readonly httpPorts: readonly OutboundHttpPort[];
  /** Sorted by name. One filter chain each. */
  readonly tcpServices: readonly OutboundTcpService[];
  /**
   * TCP addresses of the mesh that go to a chain that closes: services that this identity may not call, that nothing
   * stands behind at the moment, or whose port has a protocol that the mesh does not know. Sorted by port, then by reason.
   */
  readonly closedTcp: readonly ClosedTcp[];
  /** What becomes of a destination that is not the mesh's. */
  readonly unknownDestinations: 'passthrough' | 'close';
  /** Sorted by name. */
  readonly clusters: readonly UpstreamCluster[];
  readonly ipv6: boolean;
}

/**
 * Why a TCP address of the mesh is closed to a client; stable keys, as the client's sidecar says them:
 * - `not-allowed`: no TrafficTarget lets this identity connect.
 * - `no-backend`: nothing stands behind the service at the moment.
 * - `port-unusable`: the port itself has a problem, which is told on its Service.
 */
export const CLOSED_REASONS = ['no-backend', 'not-allowed', 'port-unusable'] as const;
export type ClosedReason = (typeof CLOSED_REASONS)[number];

export interface ClosedTcp extends PortAddresses {
  readonly reason: ClosedReason;
}

/** Addresses (IPv4 and IPv6, sorted) on one port. */
export interface PortAddresses {
  readonly port: number;
  readonly addresses: readonly string[];
}

export interface OutboundHttpPort extends PortAddresses {
  readonly routes: OutboundRoutes;
}

/** Becomes the RouteConfiguration `outbound.<port>`. A Host that matches none of them gets 404 `no-such-host`. */
export interface OutboundRoutes {
  readonly key: string;
  readonly name: string;
  readonly virtualHosts: readonly OutboundVirtualHost[];
}

export interface OutboundVirtualHost {
  readonly key: string;
  /** `<namespace>/<service>`, unique in its routes; `<namespace>/<service>#pods` for the pod names of a split headless service. */
  readonly name: string;
  /** Host names and addresses, each with and without the port. */
  readonly domains: readonly string[];
  readonly action:
    | { readonly kind: 'forward'; readonly routes: readonly OutboundRoute[] }
    | { readonly kind: 'deny'; readonly denial: Denial };
}

/** First match wins. The last route of a virtual host has no conditions. */
export interface OutboundRoute {
  /** HTTPRouteGroup conditions of a TrafficSplit v1alpha4; undefined matches all. */
  readonly match: HttpMatch | undefined;
  /** Weights above 0 only. Empty: nothing can take the call, which is answered 503. */
  readonly backends: readonly WeightedBackend[];
}

export interface WeightedBackend {
  /** Name of an UpstreamCluster of the same view. */
  readonly cluster: string;
  readonly weight: number;
}

export interface OutboundTcpService extends PortAddresses {
  readonly key: string;
  /** `<namespace>/<service>:<port>`. */
  readonly name: string;
  /** Never empty. */
  readonly backends: readonly WeightedBackend[];
}

export interface UpstreamCluster {
  readonly key: string;
  /** `<namespace>/<service>|<service port>|<hash of accounts, discovery and open target ports>`; also its EDS name. */
  readonly name: string;
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  /** `original-destination`: the address that the application resolved is the one reached, on `targetPort`. */
  readonly discovery: 'endpoints' | 'original-destination';
  /** Set where `discovery` is `original-destination`. */
  readonly targetPort: number | undefined;
  readonly protocol: MeshProtocol;
  /** Server name that selects the inbound chain. */
  readonly sni: string;
  /** Accounts that may answer: the SAN check. Sorted, never empty: without an account there is no cluster. */
  readonly accounts: readonly AccountKey[];
  /** `<account>|<target port>` of its endpoints; absent where every target port of the accounts is open. */
  readonly open?: readonly string[];
  readonly tls: TlsSettings;
  readonly connectTimeoutMs: number;
  /** Age at which an HTTP connection takes no further request; 0 for never. */
  readonly maxConnectionMs: number;
}

/** `http` follows the caller (HTTP/1.1 or 2), `http2` and `grpc` are HTTP/2. */
export type MeshProtocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'tcp-server-first';

// ---- inbound ----

export interface InboundView {
  readonly key: string;
  /** Sorted by name; unique by (target port, SNI). */
  readonly chains: readonly InboundChain[];
  /** Ports that callers from outside the mesh may use without TLS, sorted; empty unless the user opened the pod. */
  readonly plaintext: readonly PlaintextPort[];
  /** Whether the metrics listener on 15010 is asked for. */
  readonly metrics: boolean;
  /** Address that the sidecar forwards to: 127.0.0.1 or the pod's own. */
  readonly applicationAddress: string;
  readonly applicationIdleTimeoutMs: number;
  readonly tls: TlsSettings;
  /** As of an upstream cluster. */
  readonly maxConnectionMs: number;
  readonly ipv6: boolean;
}

export interface InboundChain {
  readonly key: string;
  /** `<namespace>/<service>.<target port>`. */
  readonly name: string;
  readonly targetPort: number;
  readonly sni: string;
  readonly protocol: MeshProtocol;
  readonly policy: HttpInboundPolicy | TcpInboundPolicy;
}

/** A target port of the pod that takes plaintext beside mTLS. Whoever calls it so has no identity: no policy applies. */
export interface PlaintextPort {
  readonly targetPort: number;
  readonly protocol: Exclude<MeshProtocol, 'tcp-server-first'>;
}

export interface HttpInboundPolicy {
  readonly kind: 'http';
  readonly routes: InboundRoutes;
}

export interface TcpInboundPolicy {
  readonly kind: 'tcp';
  /** Empty accounts: nobody. */
  readonly allowed: Peers;
}

/** Becomes the RouteConfiguration `inbound.<chain name>`. What matches nothing is 403 `no-route`. */
export interface InboundRoutes {
  readonly key: string;
  readonly name: string;
  readonly domains: readonly string[];
  /** First match wins; most specific first. */
  readonly routes: readonly InboundRoute[];
  /**
   * Where present, these decide in place of the routes' own peers: a request passes when one of them matches it and lets its
   * caller through. They say the same in less where so many routes overlap that each would have to carry the others.
   */
  readonly grants?: readonly InboundGrant[];
}

/** What all HTTP services of an account have in common. */
export type HttpPermissions = Pick<InboundRoutes, 'routes' | 'grants'>;

export interface InboundGrant {
  /** One of them must match. */
  readonly matches: readonly HttpMatch[];
  readonly allowed: Peers;
}

export interface InboundRoute {
  readonly match: HttpMatch;
  readonly allowed: Peers;
  /**
   * Other routes of the same list that may match the same request and let further peers through: since the first match
   * wins, this route must honour them too, each only where its own match holds. Absent when no other route can overlap.
   */
  readonly alsoAllowed?: readonly { readonly match: HttpMatch; readonly allowed: Peers }[];
  /** What a peer that is not allowed is told. */
  readonly denial: Denial;
}

export interface HttpMatch {
  /** RE2, full match on the path without its query. */
  readonly pathRegex: string;
  /** Sorted; empty means any. */
  readonly methods: readonly string[];
  /** RE2 full matches by lower-case name, sorted; `host` means the authority. */
  readonly headers: readonly { readonly name: string; readonly regex: string }[];
}

// ---- endpoints: the short path ----

/** The endpoints of one UpstreamCluster as a client in one zone sees them. */
export interface EndpointAssignment {
  readonly cluster: string;
  /** Sorted by priority, then zone. */
  readonly localities: readonly {
    readonly zone: string;
    readonly priority: number;
    readonly endpoints: readonly MeshEndpoint[];
  }[];
}

export interface MeshEndpoint {
  readonly address: string;
  readonly port: number;
  /** For metric labels. */
  readonly workload: { readonly namespace: string; readonly kind: string; readonly name: string; readonly pod: string };
}
