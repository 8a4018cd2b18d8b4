/** Names and ports that several resources, the bootstrap, or the other side's sidecar refer to. */
import type { MeshProtocol } from '#mesh/view.ts';

export const OUTBOUND_PORT = 15001;
export const INBOUND_PORT = 15003;
export const METRICS_PORT = 15010;

/** SDS names, the same in every sidecar: a rotation touches two secrets and no cluster. */
export const WORKLOAD_SECRET = 'workload';
export const ROOTS_SECRET = 'roots';
export const IDENTITY_SECRETS: readonly string[] = [WORKLOAD_SECRET, ROOTS_SECRET];

/** The one protocol that a sidecar offers another: what lacks it is not from the mesh. */
export const MESH_ALPN = 'osm';

/** Filter chains that take plaintext are named so; no namespace has a dot, so no service's chain is. */
export const PLAINTEXT_CHAIN_PREFIX = 'plaintext.';

/** The static cluster of the bootstrap that reaches Envoy's admin interface. */
export const ADMIN_CLUSTER = 'envoy-admin';

/** The cluster behind destinations that are not the mesh's. */
export const PASSTHROUGH_CLUSTER = 'passthrough';

/** Why a call was refused; a stable key (mesh/view.ts, Denial). */
export const DENIED_HEADER = 'x-osm-denied';
/** Between sidecars only: the application could not be reached, so nothing of the request was sent. */
export const NOT_SENT_HEADER = 'x-osm-not-sent';
/** Between sidecars only: the application's connection broke after the request may have been written. */
export const RESET_HEADER = 'x-osm-reset';

/** Key of our own metadata on routes, clusters and endpoints. */
export const METADATA = 'osm';

/** The cluster that hands a chain's traffic to the application. HTTP/2 needs one of its own on the same port. */
export function localClusterName(port: number, protocol: MeshProtocol): string {
  return speaksHttp2(protocol) ? `local.${port}.http2` : `local.${port}`;
}

export function speaksHttp2(protocol: MeshProtocol): boolean {
  return protocol === 'http2' || protocol === 'grpc';
}
