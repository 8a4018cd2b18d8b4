/**
 * The five kinds of resource that a sidecar is given, by type URL, in the order in which they are considered when a
 * snapshot changes. Literals, so that the protocol core loads no generated code; a unit test holds them against the
 * descriptors.
 */
export const CLUSTER = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
export const ENDPOINTS = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';
export const SECRET = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
export const LISTENER = 'type.googleapis.com/envoy.config.listener.v3.Listener';
export const ROUTES = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration';

export const TYPES = [CLUSTER, ENDPOINTS, SECRET, LISTENER, ROUTES] as const;

export type TypeUrl = (typeof TYPES)[number];

export function isTypeUrl(text: string): text is TypeUrl {
  return (TYPES as readonly string[]).includes(text);
}

/** The name that people, metrics and logs use: `cds`, `eds`, `sds`, `lds`, `rds`. */
export const SHORT_NAME: Readonly<Record<TypeUrl, 'cds' | 'eds' | 'sds' | 'lds' | 'rds'>> = {
  [CLUSTER]: 'cds',
  [ENDPOINTS]: 'eds',
  [SECRET]: 'sds',
  [LISTENER]: 'lds',
  [ROUTES]: 'rds',
};
