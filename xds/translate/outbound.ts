/** The listener `outbound`: everything that the application sends. */
import { CLOSED_REASONS, type ClosedReason, type OutboundTcpService, type OutboundView } from '#mesh/view.ts';
import { TrafficDirection } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import { FilterChainSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import { ListenerSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import type { Resource } from '#xds/resource.ts';
import { outboundConnectionManager } from './connection-manager.ts';
import { type ChainAddresses, destinationMatcher } from './destination-match.ts';
import { assembled, encode } from './encode.ts';
import { listenOn, originalDestination } from './listener.ts';
import { memo } from './memo.ts';
import { OUTBOUND_PORT, PASSTHROUGH_CLUSTER } from './names.ts';
import { closedConnections } from './refused-connections.ts';
import { closeAtOnce, tcpProxyTo } from './tcp-proxy.ts';
import { assemble, nested, tagOf, text } from './wire.ts';

const DEFAULT_CHAIN = tagOf(ListenerSchema, 'defaultFilterChain');
const MATCHER = tagOf(ListenerSchema, 'filterChainMatcher');
const CHAINS = tagOf(ListenerSchema, 'filterChains');
const CHAIN_NAME = tagOf(FilterChainSchema, 'name');
const FILTERS = tagOf(FilterChainSchema, 'filters');

/**
 * In-mesh ports need no inspector, so there is none: it would make a server that speaks first wait, and a listener filter
 * that changes with the services would drain every connection.
 */
export const outboundListener = memo((view: OutboundView): Resource => {
  const chains = [
    ...view.httpPorts.map(({ routes }) => httpChain(routes.name)),
    ...view.tcpServices.map(tcpChain),
    ...closingChains,
  ];
  const matcher = destinationMatcher([...targets(view)]);
  return assembled(ListenerSchema, 'outbound', [
    listeners[view.ipv6 ? 'dual' : 'ipv4'],
    nested(DEFAULT_CHAIN, view.unknownDestinations === 'passthrough' ? passthroughChain : unknownChain),
    ...(matcher === undefined ? [] : [nested(MATCHER, ...matcher)]),
    ...chains.map((chain) => nested(CHAINS, chain)),
  ]);
});

const listeners = { ipv4: listener(false), dual: listener(true) };

/** All but chains and matcher. */
function listener(ipv6: boolean): Uint8Array {
  return encode(ListenerSchema, {
    name: 'outbound',
    ...listenOn(OUTBOUND_PORT, ipv6),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [originalDestination],
    accessLog: [closedConnections],
  });
}

function* targets(view: OutboundView): Iterable<ChainAddresses> {
  yield sidecarItself;
  for (const { port, addresses, routes } of view.httpPorts) {
    yield { port, addresses, chain: httpChainName(routes.name) };
  }
  for (const service of view.tcpServices) {
    yield { port: service.port, addresses: service.addresses, chain: tcpChainName(service) };
  }
  for (const { port, addresses, reason } of view.closedTcp) yield { port, addresses, chain: reason };
}

/**
 * What the redirect sends here never meant the loopback address: the application called the sidecar's own port. Passed
 * through, such a call would come back here, and again, until Envoy runs out of stack.
 */
const sidecarItself: ChainAddresses = { port: OUTBOUND_PORT, addresses: ['127.0.0.1', '::1'], chain: 'sidecar-port' };

const httpChainName = (routes: string): string => `http.${routes}`;
const tcpChainName = (service: OutboundTcpService): string => `tcp.${service.name}`;

const httpChains = new Map<string, Uint8Array>();

/** One a port; at most 65,535 of some hundred bytes are ever remembered. */
function httpChain(routeName: string): Uint8Array {
  let bytes = httpChains.get(routeName);
  if (bytes === undefined) {
    bytes = encode(FilterChainSchema, {
      name: httpChainName(routeName),
      filters: [outboundConnectionManager(routeName)],
    });
    httpChains.set(routeName, bytes);
  }
  return bytes;
}

const tcpChain = memo((service: OutboundTcpService) =>
  assemble(
    text(CHAIN_NAME, tcpChainName(service)),
    nested(FILTERS, ...tcpProxyTo(`outbound.${service.name}`, service.backends)),
  ),
);

/** Named for the reason, which is what the sidecar's log says of a connection (refused-connections.ts). */
const closing = (reason: ClosedReason | 'sidecar-port' | 'egress-off'): Uint8Array =>
  encode(FilterChainSchema, { name: reason, filters: [closeAtOnce] });

/** Always there, so that the first address that is closed changes the matcher alone. */
const closingChains = [...CLOSED_REASONS, 'sidecar-port' as const].map(closing);

const passthroughChain = assemble(
  text(CHAIN_NAME, 'passthrough'),
  nested(FILTERS, ...tcpProxyTo('passthrough', [{ cluster: PASSTHROUGH_CLUSTER, weight: 1 }])),
);

const unknownChain = closing('egress-off');
