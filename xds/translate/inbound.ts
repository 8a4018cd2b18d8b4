/** The listener `inbound`: everything that other sidecars send to the application, and strangers where they may. */
import type { InboundChain, InboundView, Peers } from '#mesh/view.ts';
import type { TlsSettings } from '#mesh/objects.ts';
import { TrafficDirection } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import { FilterChainSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import { ListenerSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import type { Resource } from '#xds/resource.ts';
import { inboundConnectionManager } from './connection-manager.ts';
import { assembled, encode } from './encode.ts';
import { listenOn, originalDestination, tlsInspector } from './listener.ts';
import { memo, memo2, memoNumber } from './memo.ts';
import { IDENTITY_SECRETS, INBOUND_PORT, MESH_ALPN, localClusterName } from './names.ts';
import { plaintextChain } from './plaintext.ts';
import { allowConnection } from './rbac.ts';
import { refusedConnections } from './refused-connections.ts';
import { tcpProxyToApplication } from './tcp-proxy.ts';
import { downstreamTls } from './tls.ts';
import { assemble, nested, tagOf } from './wire.ts';

const FILTER_CHAINS = tagOf(ListenerSchema, 'filterChains');
const TRANSPORT_SOCKET = tagOf(FilterChainSchema, 'transportSocket');

/** Undefined for a pod of no service: there is nothing to call. */
export const inboundListener = memo((view: InboundView): Resource | undefined => {
  if (view.chains.length === 0) return undefined;
  return assembled(
    ListenerSchema,
    'inbound',
    [
      listeners[view.ipv6 ? 'dual' : 'ipv4'],
      ...view.chains.map((chain) => nested(FILTER_CHAINS, filterChain(chain, view.tls)(view.maxConnectionMs))),
      ...view.plaintext.map((port) => nested(FILTER_CHAINS, plaintextChain(port))),
    ],
    { secrets: IDENTITY_SECRETS },
  );
});

const listeners = { ipv4: listener(false), dual: listener(true) };

/** All but the chains. */
function listener(ipv6: boolean): Uint8Array {
  return encode(ListenerSchema, {
    name: 'inbound',
    ...listenOn(INBOUND_PORT, ipv6),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [tlsInspector, originalDestination],
    accessLog: [refusedConnections],
  });
}

/**
 * HTTP chains let every certificate of the mesh in and decide by request, so a policy that changes is obeyed on open
 * connections too and drains none; TCP has nothing to decide by but the handshake.
 */
const filterChain = memo2((chain: InboundChain, tls: TlsSettings) =>
  memoNumber((maxConnectionMs): Uint8Array => {
    const { name, targetPort, sni, policy } = chain;
    const head = encode(FilterChainSchema, {
      name,
      filterChainMatch: {
        destinationPort: targetPort,
        serverNames: [sni],
        transportProtocol: 'tls',
        applicationProtocols: [MESH_ALPN],
      },
      filters:
        policy.kind === 'http'
          ? [inboundConnectionManager(policy.routes.name, maxConnectionMs)]
          : [allowConnection(policy.allowed), tcpProxyToApplication(localClusterName(targetPort, chain.protocol))],
    });
    const peers: Peers = policy.kind === 'http' ? { kind: 'any-mesh-identity' } : policy.allowed;
    return assemble(head, nested(TRANSPORT_SOCKET, ...downstreamTls(peers, tls)));
  }),
);
