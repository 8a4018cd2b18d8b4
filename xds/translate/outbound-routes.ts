/** RouteConfigurations `outbound.<port>`: the Host header decides where a call goes. */
import type { Denial, OutboundRoute, OutboundRoutes, OutboundVirtualHost, WeightedBackend } from '#mesh/view.ts';
import { RouteConfigurationSchema } from '#xds/proto/gen/envoy/config/route/v3/route_pb.js';
import {
  type RouteActionSchema,
  type RouteSchema,
  VirtualHostSchema,
} from '#xds/proto/gen/envoy/config/route/v3/route_components_pb.js';
import type { Resource } from '#xds/resource.ts';
import { type Init, duration, encode, resourceWithChildren } from './encode.ts';
import { anyRequest, header, routeMatch } from './http-match.ts';
import { setHeader } from './local-reply.ts';
import { DENIED_HEADER, NOT_SENT_HEADER, RESET_HEADER } from './names.ts';
import { SAFE_METHODS, retrySafeMethod, retryUnsent } from './retry.ts';

type Route = Init<typeof RouteSchema>;

/**
 * Names of the clusters whose calls may be tried again on another host. Where the application chose the address itself,
 * another host would not be the one it asked for.
 */
export type Retriable = ReadonlySet<string>;

export function outboundRoutes(routes: OutboundRoutes, retriable: Retriable): Resource {
  const known = resources.get(routes);
  if (known !== undefined) return known;
  const made = resourceWithChildren(
    RouteConfigurationSchema,
    routes.name,
    { name: routes.name },
    { field: 'virtualHosts', parts: [...routes.virtualHosts.map((host) => virtualHost(host, retriable)), unknownHost] },
  );
  resources.set(routes, made);
  return made;
}

// A cluster's name says how its endpoints are found, so the routes alone are key enough.
const resources = new WeakMap<OutboundRoutes, Resource>();
const virtualHosts = new WeakMap<OutboundVirtualHost, Uint8Array>();

function virtualHost(host: OutboundVirtualHost, retriable: Retriable): Uint8Array {
  const known = virtualHosts.get(host);
  if (known !== undefined) return known;
  const made = encode(VirtualHostSchema, {
    name: host.name,
    domains: [...host.domains],
    routes:
      host.action.kind === 'deny'
        ? [refusal(403, host.action.denial)]
        : host.action.routes.flatMap((route) => forward(route, host.name, retriable)),
  });
  virtualHosts.set(host, made);
  return made;
}

/** One route for the methods that may be sent twice, one for the others: only their retries differ. */
function forward(route: OutboundRoute, host: string, retriable: Retriable): Route[] {
  const match = route.match === undefined ? anyRequest : routeMatch(route.match, 'steer');
  if (route.backends.length === 0) {
    return [{ match, action: directResponse(503, `No backend of ${host} can take the call.`) }];
  }
  const action: Init<typeof RouteActionSchema> = { ...target(route.backends), timeout: duration(0) };
  // Between sidecars only: the application never sees these.
  const responseHeadersToRemove = [NOT_SENT_HEADER, RESET_HEADER];
  if (!route.backends.every(({ cluster }) => retriable.has(cluster))) {
    return [{ match, responseHeadersToRemove, action: { case: 'route', value: action } }];
  }
  return [
    {
      match: { ...match, headers: [...match.headers, header(':method', SAFE_METHODS)] },
      responseHeadersToRemove,
      action: { case: 'route', value: { ...action, retryPolicy: retrySafeMethod } },
    },
    { match, responseHeadersToRemove, action: { case: 'route', value: { ...action, retryPolicy: retryUnsent } } },
  ];
}

function target(backends: readonly WeightedBackend[]): Init<typeof RouteActionSchema> {
  const [first] = backends;
  if (backends.length === 1 && first !== undefined) {
    return { clusterSpecifier: { case: 'cluster', value: first.cluster } };
  }
  return {
    clusterSpecifier: {
      case: 'weightedClusters',
      value: { clusters: backends.map(({ cluster, weight }) => ({ name: cluster, weight })) },
    },
  };
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
