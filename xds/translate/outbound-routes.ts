/** RouteConfigurations `outbound.<port>`: the Host header decides where a call goes. */
import type { Denial, OutboundRoute, OutboundRoutes, OutboundVirtualHost, WeightedBackend } from '#mesh/view.ts';
import { RouteConfigurationSchema } from '#xds/proto/gen/envoy/config/route/v3/route_pb.js';
import {
  RouteActionSchema,
  RouteSchema,
  VirtualHostSchema,
  WeightedClusterSchema,
  WeightedCluster_ClusterWeightSchema as ClusterWeightSchema,
} from '#xds/proto/gen/envoy/config/route/v3/route_components_pb.js';
import type { Resource } from '#xds/resource.ts';
import { type Init, assembled, duration, encode } from './encode.ts';
import { type RequestMatch, anyRequest, header, routeMatch } from './http-match.ts';
import { setHeader } from './local-reply.ts';
import { DENIED_HEADER, NOT_SENT_HEADER, RESET_HEADER } from './names.ts';
import { SAFE_METHODS, retrySafeMethod, retryUnsent } from './retry.ts';
import { type Field, type Piece, assemble, nested, tagOf, text } from './wire.ts';

type Route = Init<typeof RouteSchema>;

const CONFIG_NAME = tagOf(RouteConfigurationSchema, 'name');
const VIRTUAL_HOSTS = tagOf(RouteConfigurationSchema, 'virtualHosts');
const HOST_NAME = tagOf(VirtualHostSchema, 'name');
const DOMAINS = tagOf(VirtualHostSchema, 'domains');
const ROUTES = tagOf(VirtualHostSchema, 'routes');
const ACTION = tagOf(RouteSchema, 'route');
const CLUSTER = tagOf(RouteActionSchema, 'cluster');
const WEIGHTED = tagOf(RouteActionSchema, 'weightedClusters');
const CLUSTERS = tagOf(WeightedClusterSchema, 'clusters');
const CLUSTER_NAME = tagOf(ClusterWeightSchema, 'name');

/**
 * Names of the clusters whose calls may be tried again on another host. Where the application chose the address itself,
 * another host would not be the one it asked for.
 */
export type Retriable = ReadonlySet<string>;

export function outboundRoutes(routes: OutboundRoutes, retriable: Retriable): Resource {
  const known = resources.get(routes);
  if (known !== undefined) return known;
  const made = assembled(RouteConfigurationSchema, routes.name, [
    text(CONFIG_NAME, routes.name),
    ...routes.virtualHosts.map((host) => nested(VIRTUAL_HOSTS, virtualHost(host, retriable))),
    nested(VIRTUAL_HOSTS, unknownHost),
  ]);
  resources.set(routes, made);
  return made;
}

// A cluster's name says how its endpoints are found, so the routes alone are key enough.
const resources = new WeakMap<OutboundRoutes, Resource>();
const virtualHosts = new WeakMap<OutboundVirtualHost, Uint8Array>();

function virtualHost(host: OutboundVirtualHost, retriable: Retriable): Uint8Array {
  const known = virtualHosts.get(host);
  if (known !== undefined) return known;
  const routes =
    host.action.kind === 'deny'
      ? [encode(RouteSchema, refusal(403, host.action.denial))]
      : host.action.routes.flatMap((route) => forward(route, host.name, retriable));
  const made = assemble(
    text(HOST_NAME, host.name),
    ...host.domains.map((domain) => text(DOMAINS, domain)),
    ...routes.map((route) => (route instanceof Uint8Array ? nested(ROUTES, route) : nested(ROUTES, ...route))),
  );
  virtualHosts.set(host, made);
  return made;
}

/** A route without its destination: all that the routes of most services have in common. */
interface Frame {
  /** Fields of a Route. */
  readonly route: Uint8Array;
  /** Fields of its RouteAction. */
  readonly action: Uint8Array;
}

/** One for the methods that may be sent twice, one for the others: only their retries differ. */
interface Frames {
  readonly retried: readonly Frame[];
  readonly once: readonly Frame[];
}

function frames(match: RequestMatch): Frames {
  const frame = (on: RequestMatch, action: Init<typeof RouteActionSchema>): Frame => ({
    // The headers go between sidecars only: the application never sees these.
    route: encode(RouteSchema, { match: on, responseHeadersToRemove: [NOT_SENT_HEADER, RESET_HEADER] }),
    action: encode(RouteActionSchema, { timeout: duration(0), ...action }),
  });
  const safe = { ...match, headers: [...match.headers, header(':method', SAFE_METHODS)] };
  return {
    retried: [frame(safe, { retryPolicy: retrySafeMethod }), frame(match, { retryPolicy: retryUnsent })],
    once: [frame(match, {})],
  };
}

const unconditional = frames(anyRequest);

function forward(route: OutboundRoute, host: string, retriable: Retriable): (Uint8Array | Piece[])[] {
  const { match, backends } = route;
  if (backends.length === 0) {
    const action = directResponse(503, `No backend of ${host} can take the call.`);
    return [encode(RouteSchema, { match: match === undefined ? anyRequest : routeMatch(match, 'steer'), action })];
  }
  const { retried, once } = match === undefined ? unconditional : frames(routeMatch(match, 'steer'));
  const to = target(backends);
  const chosen = backends.every(({ cluster }) => retriable.has(cluster)) ? retried : once;
  return chosen.map((frame) => [frame.route, nested(ACTION, to, frame.action)]);
}

/** The field of a RouteAction. */
function target(backends: readonly WeightedBackend[]): Field {
  const [first] = backends;
  if (backends.length === 1 && first !== undefined) return text(CLUSTER, first.cluster);
  return nested(
    WEIGHTED,
    ...backends.map(({ cluster, weight }) =>
      nested(CLUSTERS, text(CLUSTER_NAME, cluster), encode(ClusterWeightSchema, { weight })),
    ),
  );
}

/** Answered by the caller's own sidecar. */
function refusal(status: 403 | 404, denial: Denial): Route {
  return {
    match: anyRequest,
    responseHeadersToAdd: [setHeader(DENIED_HEADER, denial.key)],
    action: directResponse(status, denial.message),
  };
}

function directResponse(status: number, message: string): NonNullable<Route['action']> {
  return {
    case: 'directResponse',
    value: { status, body: { specifier: { case: 'inlineString', value: `${message}\n` } } },
  };
}

/** A Host that names no service, on an address of the mesh: never passed through. */
const unknownHost = encode(VirtualHostSchema, {
  name: 'no-such-host',
  domains: ['*'],
  routes: [
    refusal(404, {
      key: 'no-such-host',
      message: 'The Host header names no service of the mesh on this port; call a service by its own name.',
    }),
  ],
});
