/** RouteConfigurations `inbound.<chain>`: which requests may reach the application, and from whom. */
import type { Denial, InboundChain, InboundRoute, InboundRoutes } from '#mesh/view.ts';
import { RouteConfigurationSchema } from '#xds/proto/gen/envoy/config/route/v3/route_pb.js';
import { type RouteSchema, VirtualHostSchema } from '#xds/proto/gen/envoy/config/route/v3/route_components_pb.js';
import type { Resource } from '#xds/resource.ts';
import { type Init, assembled, duration, encode } from './encode.ts';
import { anyRequest, routeMatch } from './http-match.ts';
import { denialMetadata, setHeader } from './local-reply.ts';
import { memo } from './memo.ts';
import { DENIED_HEADER, NOT_SENT_HEADER, RESET_HEADER, localClusterName } from './names.ts';
import { HTTP_RBAC, allowByGrants, allowOnRoute, unguarded } from './rbac.ts';
import { nested, tagOf, text } from './wire.ts';

type Route = Init<typeof RouteSchema>;

const NAME = tagOf(RouteConfigurationSchema, 'name');
const VIRTUAL_HOSTS = tagOf(RouteConfigurationSchema, 'virtualHosts');

/** Undefined for a TCP chain. */
export const inboundRoutes = memo((chain: InboundChain): Resource | undefined => {
  if (chain.policy.kind !== 'http') return undefined;
  const { routes } = chain.policy;
  const cluster = localClusterName(chain.targetPort, chain.protocol);
  const parts = [encode(VirtualHostSchema, virtualHost(routes, cluster))];
  if (!routes.domains.includes('*')) parts.push(unknownHost);
  return assembled(RouteConfigurationSchema, routes.name, [
    text(NAME, routes.name),
    ...parts.map((part) => nested(VIRTUAL_HOSTS, part)),
  ]);
});

function virtualHost(routes: InboundRoutes, cluster: string): Init<typeof VirtualHostSchema> {
  return {
    name: routes.name,
    domains: [...routes.domains],
    routes: [...routes.routes.map((route) => toApplication(route, cluster, routes.grants)), noRoute],
    ...(routes.grants === undefined ? {} : { typedPerFilterConfig: { [HTTP_RBAC]: allowByGrants(routes.grants) } }),
  };
}

function toApplication(route: InboundRoute, cluster: string, grants: InboundRoutes['grants']): Route {
  return {
    match: routeMatch(route.match, 'guard'),
    metadata: denialMetadata(route.denial),
    // The nearest rules count, so a route that the virtual host's shall decide must have none.
    ...(grants === undefined ? { typedPerFilterConfig: { [HTTP_RBAC]: allowOnRoute(route) } } : {}),
    // Words of ours in an application's mouth: a forged `not sent` would have a request sent twice.
    responseHeadersToRemove: [DENIED_HEADER, NOT_SENT_HEADER, RESET_HEADER],
    action: {
      case: 'route',
      value: { clusterSpecifier: { case: 'cluster', value: cluster }, timeout: duration(0) },
    },
  };
}

const noRouteDenial: Denial = {
  key: 'no-route',
  message: 'No policy of the service speaks of this host, method, path and headers.',
};

/**
 * Has no allowance of its own, so the filter's deny-all answers, with this reason, or the virtual host's rules, of which none
 * matches what no route matches. The action is never reached.
 */
const noRoute: Route = {
  match: anyRequest,
  metadata: denialMetadata(noRouteDenial),
  action: { case: 'directResponse', value: { status: 403 } },
};

/**
 * A sidecar of the mesh sends the names that it was told of. One that this side does not know is one of which this side has not
 * been told yet: the two may hear of a new split from two replicas of the controller. Nothing was sent to the application, so the
 * caller's sidecar tries again a moment later. What answers is Envoy itself, so there is nothing for the filter to guard.
 */
const unknownHost = encode(VirtualHostSchema, {
  name: 'no-route',
  domains: ['*'],
  routes: [
    {
      match: anyRequest,
      typedPerFilterConfig: { [HTTP_RBAC]: unguarded },
      responseHeadersToAdd: [setHeader(DENIED_HEADER, noRouteDenial.key), setHeader(NOT_SENT_HEADER, '1')],
      action: {
        case: 'directResponse',
        value: { status: 403, body: { specifier: { case: 'inlineString', value: `${noRouteDenial.message}\n` } } },
      },
    },
  ],
});
