/** Clusters: other services behind mTLS, the application itself, and what is not the mesh's. */
import type { InboundView, MeshProtocol, OutboundView, UpstreamCluster } from '#mesh/view.ts';
import { CircuitBreakersSchema } from '#xds/proto/gen/envoy/config/cluster/v3/circuit_breaker_pb.js';
import {
  ClusterSchema,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from '#xds/proto/gen/envoy/config/cluster/v3/cluster_pb.js';
import type { HttpProtocolOptionsSchema as ConnectionOptionsSchema } from '#xds/proto/gen/envoy/config/core/v3/protocol_pb.js';
import { HttpProtocolOptionsSchema } from '#xds/proto/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import type { Resource } from '#xds/resource.ts';
import { type Init, assembled, duration, encode, pack, resource, shared } from './encode.ts';
import { keepalive, socketAddress } from './listener.ts';
import { memo } from './memo.ts';
import { ourMetadata } from './metadata.ts';
import { IDENTITY_SECRETS, PASSTHROUGH_CLUSTER, localClusterName, speaksHttp2 } from './names.ts';
import { maxConnectionDuration } from './max-connection-duration.ts';
import { awaitedBriefly } from './sources.ts';
import { upstreamTls } from './tls.ts';
import { nested, tagOf, text } from './wire.ts';

type Cluster = Init<typeof ClusterSchema>;

/** Envoy's defaults (1,024 connections and requests, 3 retries) would fail calls that nobody asked to limit. */
const NO_LIMIT = 0xffff_ffff;
const noLimits = shared(CircuitBreakersSchema, {
  thresholds: [
    {
      maxConnections: NO_LIMIT,
      maxPendingRequests: NO_LIMIT,
      maxRequests: NO_LIMIT,
      maxRetries: NO_LIMIT,
    },
  ],
});

/** Below the hour after which the other side closes an idle connection, so that no request meets it closing. */
const UPSTREAM_IDLE_MS = 50 * 60_000;

const NAME = tagOf(ClusterSchema, 'name');
const CLUSTER_METADATA = tagOf(ClusterSchema, 'metadata');
const TRANSPORT_SOCKET = tagOf(ClusterSchema, 'transportSocket');

/** A service as callers reach it: endpoints by EDS, or the very address that the application resolved. */
export const upstreamCluster = memo((cluster: UpstreamCluster): Resource => {
  const { name, namespace, service } = cluster;
  return assembled(
    ClusterSchema,
    name,
    [
      text(NAME, name),
      alike(cluster),
      ourMetadata(CLUSTER_METADATA, { namespace, service }),
      nested(TRANSPORT_SOCKET, ...upstreamTls(cluster.sni, cluster.accounts, cluster.tls)),
    ],
    cluster.discovery === 'endpoints'
      ? { endpoints: [name], secrets: IDENTITY_SECRETS }
      : { secrets: IDENTITY_SECRETS },
  );
});

const known = new Map<string, Uint8Array>();

/** All that many clusters have in common. At most one for each target port, protocol and time limit: a few in any mesh. */
function alike({ discovery, protocol, targetPort, connectTimeoutMs, maxConnectionMs }: UpstreamCluster): Uint8Array {
  const key = `${discovery} ${protocol} ${targetPort} ${connectTimeoutMs} ${maxConnectionMs}`;
  let bytes = known.get(key);
  if (bytes === undefined) {
    bytes = encode(ClusterSchema, {
      connectTimeout: duration(connectTimeoutMs),
      circuitBreakers: noLimits,
      upstreamConnectionOptions: { tcpKeepalive: keepalive },
      ...httpOptions(protocol, { idleTimeout: duration(UPSTREAM_IDLE_MS), ...maxConnectionDuration(maxConnectionMs) }),
      ...(discovery === 'endpoints' ? byEndpoints : byOriginalDestination(targetPort)),
    });
    known.set(key, bytes);
  }
  return bytes;
}

const byEndpoints: Cluster = {
  ...discoveredBy(Cluster_DiscoveryType.EDS),
  lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
  edsClusterConfig: { edsConfig: awaitedBriefly },
  // A pod that left the endpoints is gone at once, whatever its health was.
  ignoreHealthOnHostRemoval: true,
};

/** The application, one cluster a port and HTTP version. */
export const localClusters = memo((view: InboundView): readonly Resource[] => {
  const clusters = new Map<string, Resource>();
  for (const { targetPort, protocol } of [...view.chains, ...view.plaintext]) {
    const name = localClusterName(targetPort, protocol);
    if (!clusters.has(name)) clusters.set(name, localCluster(name, view, targetPort, protocol));
  }
  return [...clusters.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
});

const local = new Map<string, Resource>();

/** The same for every pod whose application listens there: at most two a port and address. */
function localCluster(name: string, view: InboundView, port: number, protocol: MeshProtocol): Resource {
  // With the pod's own address in it, it is that pod's alone, and must go when the pod goes.
  if (view.applicationAddress !== '127.0.0.1') return makeLocalCluster(name, view, port, protocol);
  const key = `${name} ${protocol} ${view.applicationIdleTimeoutMs}`;
  const known = local.get(key);
  if (known !== undefined) return known;
  const made = makeLocalCluster(name, view, port, protocol);
  local.set(key, made);
  return made;
}

function makeLocalCluster(name: string, view: InboundView, port: number, protocol: MeshProtocol): Resource {
  return resource(ClusterSchema, name, {
    name,
    connectTimeout: duration(1000),
    circuitBreakers: noLimits,
    ...discoveredBy(Cluster_DiscoveryType.STATIC),
    loadAssignment: {
      clusterName: name,
      endpoints: [
        {
          lbEndpoints: [
            {
              hostIdentifier: {
                case: 'endpoint',
                value: { address: socketAddress(view.applicationAddress, port) },
              },
            },
          ],
        },
      ],
    },
    // Closed before the application's own keep-alive ends: a request on a connection that closes under it is lost.
    ...httpOptions(protocol, { idleTimeout: duration(view.applicationIdleTimeoutMs) }),
  });
}

/** Destinations that are not the mesh's, as they came. */
export const passthrough = memo((view: OutboundView): Resource | undefined =>
  view.unknownDestinations === 'passthrough' ? passthroughCluster : undefined,
);

const passthroughCluster = resource(ClusterSchema, PASSTHROUGH_CLUSTER, {
  name: PASSTHROUGH_CLUSTER,
  connectTimeout: duration(5000),
  circuitBreakers: noLimits,
  upstreamConnectionOptions: { tcpKeepalive: keepalive },
  ...byOriginalDestination(undefined),
});

function byOriginalDestination(port: number | undefined): Cluster {
  return {
    ...discoveredBy(Cluster_DiscoveryType.ORIGINAL_DST),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    ...(port === undefined ? {} : { lbConfig: { case: 'originalDstLbConfig', value: { upstreamPortOverride: port } } }),
  };
}

function discoveredBy(value: Cluster_DiscoveryType): Pick<Cluster, 'clusterDiscoveryType'> {
  return { clusterDiscoveryType: { case: 'type', value } };
}

/** `http` speaks the caller's version, `http2` and `grpc` HTTP/2; TCP none. */
function httpOptions(
  protocol: MeshProtocol,
  commonHttpProtocolOptions: Init<typeof ConnectionOptionsSchema>,
): Pick<Cluster, 'typedExtensionProtocolOptions'> {
  if (protocol === 'tcp' || protocol === 'tcp-server-first') return {};
  const http2ProtocolOptions = { allowConnect: true };
  return {
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': pack(HttpProtocolOptionsSchema, {
        commonHttpProtocolOptions,
        upstreamProtocolOptions: speaksHttp2(protocol)
          ? {
              case: 'explicitHttpConfig',
              value: { protocolConfig: { case: 'http2ProtocolOptions', value: http2ProtocolOptions } },
            }
          : { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions } },
      }),
    },
  };
}
