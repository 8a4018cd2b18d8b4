// oxlint-disable typescript/switch-exhaustiveness-check -- of what Envoy knows, the mesh writes a few cases; any other throws
/**
 * What becomes of a call, judged from the bytes that Envoy is given and nothing else: the caller's listener `outbound`, its
 * routes, its cluster and endpoints, the handshake, the listener `inbound` of whoever is reached, its RBAC and routes. It knows
 * only what the mesh writes; anything else throws. `mesh/check.ts` judges the same call from the model: two judges that share
 * no code must agree (test/unit/policy).
 */
import type { AccountKey } from '#mesh/identity.ts';
import type { Cluster } from '#xds/proto/gen/envoy/config/cluster/v3/cluster_pb.js';
import { Cluster_DiscoveryType } from '#xds/proto/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { ClusterLoadAssignment } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { chainByCriteria, chainByMatcher, type Destination } from './chains.ts';
import { type Decision, throughChain } from './filters.ts';
import type { SeenRequest } from './matching.ts';
import type { Sidecar, SimulatedMesh } from './mesh.ts';
import { admits, certificateOf, type Offer, offerOf } from './tls.ts';

/** A connection to an address; with `http`, a request on it. */
export interface SimulatedCall extends Destination {
  readonly http?: {
    readonly host: string;
    readonly method?: string;
    /** With its query. */
    readonly path?: string;
    /** Lower-case names. */
    readonly headers?: Readonly<Record<string, string>>;
  };
}

export type Fate =
  | { readonly kind: 'answered'; readonly pod: string; readonly account: AccountKey; readonly port: number }
  /** `reply`: an HTTP answer of a sidecar's own, with `x-osm-denied`; `close`: not one byte of an answer. */
  | {
      readonly kind: 'refused';
      readonly where: 'client' | 'server';
      readonly how: 'reply' | 'close';
      readonly status: number;
      readonly why: string;
      readonly body: string;
    }
  /** Nobody to send to: 503 for HTTP, a closed connection for TCP. */
  | { readonly kind: 'unavailable'; readonly why: string }
  | { readonly kind: 'passthrough' };

/** The ways that a call can go, and which part of such calls goes each, of 1. In the order of clusters and endpoints. */
export type Outcome = readonly { readonly share: number; readonly fate: Fate; readonly cluster: string }[];

export function simulate(mesh: SimulatedMesh, from: Sidecar, call: SimulatedCall): Outcome {
  const listener = from.config.listeners.get('outbound');
  const chain = listener === undefined ? undefined : chainByMatcher(listener, call);
  if (chain === undefined) return always(refused('client', 'close', 'no-chain'));
  const decision = throughChain(chain, from.config, { peer: undefined, request: requestOf(call) });
  if (decision.kind !== 'forward') return always(ownDecision('client', decision));
  const total = decision.to.reduce((sum, { weight }) => sum + weight, 0);
  return decision.to
    .filter(({ weight }) => weight > 0)
    .flatMap(({ cluster, weight }) =>
      throughCluster(mesh, from, cluster, call).map(({ share, fate }) => ({
        share: (share * weight) / total,
        fate,
        cluster,
      })),
    );
}

function always(fate: Fate, cluster = ''): Outcome {
  return [{ share: 1, fate, cluster }];
}

function refused(where: 'client' | 'server', how: 'reply' | 'close', why: string, status = 0, body = ''): Fate {
  return { kind: 'refused', where, how, why, status, body };
}

function ownDecision(where: 'client' | 'server', decision: Exclude<Decision, { kind: 'forward' }>): Fate {
  switch (decision.kind) {
    case 'close':
      return refused(where, 'close', 'closed');
    case 'no-http':
      return { kind: 'unavailable', why: 'the port speaks HTTP' };
    case 'reply':
      if (decision.status === 503) return { kind: 'unavailable', why: decision.body };
      return refused(where, 'reply', decision.denied, decision.status, decision.body);
    default:
      return decision satisfies never;
  }
}

function requestOf({ http }: SimulatedCall): SeenRequest | undefined {
  if (http === undefined) return undefined;
  return { authority: http.host, method: http.method ?? 'GET', path: http.path ?? '/', headers: http.headers ?? {} };
}

function throughCluster(mesh: SimulatedMesh, from: Sidecar, name: string, call: SimulatedCall): Outcome {
  const cluster = from.config.clusters.get(name);
  if (cluster === undefined) return always({ kind: 'unavailable', why: `no cluster ${name}` }, name);
  const hosts = hostsOf(cluster, from, call);
  if (hosts.length === 0) return always({ kind: 'unavailable', why: `${name} has no endpoint` }, name);
  const offer = offerOf(cluster.transportSocket);
  const source = certificateOf(from.pod.account);
  return hosts.map((host) => ({
    share: 1 / hosts.length,
    cluster: name,
    fate: atHost(mesh, host, { offer, source, call }),
  }));
}

/** Where a connection of this cluster may go: the endpoints of the best priority, or what the application asked for. */
function hostsOf(cluster: Cluster, from: Sidecar, call: SimulatedCall): Destination[] {
  const type = cluster.clusterDiscoveryType.case === 'type' ? cluster.clusterDiscoveryType.value : undefined;
  switch (type) {
    case Cluster_DiscoveryType.ORIGINAL_DST: {
      const own =
        cluster.lbConfig.case === 'originalDstLbConfig' ? cluster.lbConfig.value.upstreamPortOverride : undefined;
      return [{ address: call.address, port: own ?? call.port }];
    }
    case Cluster_DiscoveryType.EDS:
      return endpointsOf(from.config.assignments.get(cluster.name));
    case Cluster_DiscoveryType.STATIC:
      return endpointsOf(cluster.loadAssignment);
    default:
      throw new Error(`the simulation does not know clusters of type ${type}`);
  }
}

export function endpointsOf(assignment: ClusterLoadAssignment | undefined): Destination[] {
  const localities = assignment?.endpoints ?? [];
  const best = Math.min(
    ...localities.filter(({ lbEndpoints }) => lbEndpoints.length > 0).map(({ priority }) => priority),
  );
  return localities
    .filter(({ priority }) => priority === best)
    .flatMap(({ lbEndpoints }) =>
      lbEndpoints.map(({ hostIdentifier }) => {
        const at = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
        if (at?.case !== 'socketAddress' || at.value.portSpecifier.case !== 'portValue')
          throw new Error('an endpoint without address');
        return { address: at.value.address, port: at.value.portSpecifier.value };
      }),
    );
}

interface Connection {
  readonly offer: Offer | undefined;
  readonly source: string;
  readonly call: SimulatedCall;
}

function atHost(mesh: SimulatedMesh, host: Destination, { offer, source, call }: Connection): Fate {
  const server = mesh.byAddress.get(host.address);
  if (server === undefined) {
    if (offer === undefined) return { kind: 'passthrough' };
    return { kind: 'unavailable', why: `nobody at ${host.address} speaks TLS` };
  }
  if (offer !== undefined && !offer.takes(certificateOf(server.pod.account))) {
    return { kind: 'unavailable', why: `${server.pod.account} is not expected at ${host.address}` };
  }
  const tls = offer === undefined ? undefined : { sni: offer.sni, alpn: offer.alpn, certificate: source };
  return arrive(server, { port: host.port, tls, http: call.http });
}

/** A connection at the listener `inbound` of a pod, whoever made it. */
export interface ArrivingCall {
  readonly port: number;
  /** Undefined: plaintext. `certificate` is the URI SAN of one that the mesh's roots signed; undefined shows none. */
  readonly tls:
    | { readonly sni: string; readonly alpn: readonly string[]; readonly certificate: string | undefined }
    | undefined;
  readonly http?: SimulatedCall['http'];
}

export function arrive(server: Sidecar, call: ArrivingCall): Fate {
  const listener = server.config.listeners.get('inbound');
  const chain = listener === undefined ? undefined : chainByCriteria(listener, call);
  if (chain === undefined) return refused('server', 'close', 'no-chain');
  if (
    call.tls === undefined ? chain.transportSocket !== undefined : !admits(chain.transportSocket, call.tls.certificate)
  ) {
    return refused('server', 'close', 'not-allowed');
  }
  const request = requestOf({ address: '', port: call.port, ...(call.http === undefined ? {} : { http: call.http }) });
  const decision = throughChain(chain, server.config, { peer: call.tls?.certificate, request });
  if (decision.kind === 'close') return refused('server', 'close', 'not-allowed');
  if (decision.kind !== 'forward') return ownDecision('server', decision);
  const [to, ...others] = decision.to.flatMap(({ cluster }) => {
    const local = server.config.clusters.get(cluster);
    if (local === undefined) throw new Error(`the sidecar has no cluster "${cluster}"`);
    return hostsOf(local, server, { address: '', port: call.port });
  });
  if (to === undefined || others.length > 0) throw new Error('a chain that does not lead to one application');
  if (!['127.0.0.1', '::1', ...server.pod.ips].includes(to.address))
    throw new Error(`${to.address} is no application of the pod`);
  return {
    kind: 'answered',
    pod: `${server.pod.namespace}/${server.pod.name}`,
    account: server.pod.account,
    port: to.port,
  };
}
