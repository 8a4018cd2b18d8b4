/** Network filters of TCP chains. */
import type { WeightedBackend } from '#mesh/view.ts';
import { FilterSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import { ConfigSchema as DirectResponseSchema } from '#xds/proto/gen/envoy/extensions/filters/network/direct_response/v3/config_pb.js';
import {
  TcpProxySchema,
  UpstreamConnectMode,
} from '#xds/proto/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { type Init, duration, encode, pack, packed } from './encode.ts';
import { type Piece, tagOf, text } from './wire.ts';

type Filter = Init<typeof FilterSchema>;
type TcpProxy = Init<typeof TcpProxySchema>;

const FILTER_CONFIG = tagOf(FilterSchema, 'typedConfig');
const STAT_PREFIX = tagOf(TcpProxySchema, 'statPrefix');
const CLUSTER = tagOf(TcpProxySchema, 'cluster');

/**
 * Forwards to backends by weight, as soon as the application connects: a server may speak first. The fields of a Filter, from
 * pieces: each TCP service has one of its own, and all but two names are the same.
 */
export function tcpProxyTo(statPrefix: string, backends: readonly WeightedBackend[]): Piece[] {
  const [first, ...others] = backends;
  if (first === undefined) return [encode(FilterSchema, closeAtOnce)];
  const target =
    others.length === 0
      ? text(CLUSTER, first.cluster)
      : encode(TcpProxySchema, {
          clusterSpecifier: {
            case: 'weightedClusters',
            value: { clusters: backends.map(({ cluster, weight }) => ({ name: cluster, weight })) },
          },
        });
  return [filterName, packed(FILTER_CONFIG, TcpProxySchema, text(STAT_PREFIX, statPrefix), target, alike)];
}

/**
 * Forwards to the application, which is not even connected to before the caller's certificate is verified: a server that
 * speaks first would otherwise have spoken to a stranger.
 */
export function tcpProxyToApplication(cluster: string): Filter {
  return tcpProxy({
    statPrefix: 'inbound',
    clusterSpecifier: { case: 'cluster', value: cluster },
    upstreamConnectMode: UpstreamConnectMode.ON_DOWNSTREAM_TLS_HANDSHAKE,
    // What a caller says meanwhile is kept up to here, then it waits. Envoy wants the number said.
    maxEarlyDataBytes: 65_536,
  });
}

/** Closes a connection when it is accepted, before anything is read, written or connected to. */
export const closeAtOnce: Filter = {
  name: 'envoy.filters.network.direct_response',
  configType: { case: 'typedConfig', value: pack(DirectResponseSchema, {}) },
};

/** A connection may be silent for ever (a pool of database connections at night); keep-alives find dead peers. */
const common: TcpProxy = { idleTimeout: duration(0) };
const alike = encode(TcpProxySchema, common);

const FILTER_NAME = 'envoy.filters.network.tcp_proxy';
const filterName = encode(FilterSchema, { name: FILTER_NAME });

function tcpProxy(settings: TcpProxy): Filter {
  return {
    name: FILTER_NAME,
    configType: { case: 'typedConfig', value: pack(TcpProxySchema, { ...common, ...settings }) },
  };
}
