// oxlint-disable typescript/switch-exhaustiveness-check -- of what Envoy knows, the mesh writes a few cases; any other throws
/** What the filters of a chain do with a connection or a request: forward, answer by themselves, or close. */
import type { FilterChain } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { RBAC } from '#xds/proto/gen/envoy/config/rbac/v3/rbac_pb.js';
import type { RouteConfiguration } from '#xds/proto/gen/envoy/config/route/v3/route_pb.js';
import type { Route, VirtualHost } from '#xds/proto/gen/envoy/config/route/v3/route_components_pb.js';
import {
  RBACPerRouteSchema,
  RBACSchema as HttpRbacSchema,
} from '#xds/proto/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import { RouterSchema } from '#xds/proto/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { ConfigSchema as DirectResponseSchema } from '#xds/proto/gen/envoy/extensions/filters/network/direct_response/v3/config_pb.js';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '#xds/proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { RBACSchema as NetworkRbacSchema } from '#xds/proto/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import {
  type TcpProxy,
  TcpProxySchema,
} from '#xds/proto/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js';
import { packs, type SidecarConfig, typedConfig, unpack } from './config.ts';
import { matchesRoute, normalized, type SeenRequest } from './matching.ts';
import { passes } from './rbac.ts';

export interface Passage {
  /** URI SAN of the caller's verified certificate. */
  readonly peer: string | undefined;
  /** Undefined on a connection that says no HTTP. */
  readonly request: SeenRequest | undefined;
}

export type Decision =
  | {
      readonly kind: 'forward';
      readonly to: readonly { readonly cluster: string; readonly weight: number }[];
      readonly request?: SeenRequest;
    }
  | { readonly kind: 'reply'; readonly status: number; readonly denied: string; readonly body: string }
  | { readonly kind: 'close' }
  /** A connection manager to which nobody speaks HTTP. */
  | { readonly kind: 'no-http' };

const DENIED_HEADER = 'x-osm-denied';

export function throughChain(chain: FilterChain, config: SidecarConfig, passage: Passage): Decision {
  for (const filter of chain.filters) {
    const any = typedConfig(filter);
    if (packs(any, NetworkRbacSchema)) {
      if (!passes(unpack(any, NetworkRbacSchema).rules, { ...passage, request: undefined })) return { kind: 'close' };
    } else if (packs(any, DirectResponseSchema)) return { kind: 'close' };
    else if (packs(any, TcpProxySchema)) return { kind: 'forward', to: tcpClusters(unpack(any, TcpProxySchema)) };
    else return throughManager(unpack(any, HttpConnectionManagerSchema), config, passage);
  }
  throw new Error(`the chain "${chain.name}" ends without a terminal filter`);
}

function tcpClusters({ clusterSpecifier: to }: TcpProxy): { cluster: string; weight: number }[] {
  switch (to.case) {
    case 'cluster':
      return [{ cluster: to.value, weight: 1 }];
    case 'weightedClusters':
      return to.value.clusters.map(({ name, weight }) => {
        if (weight < 1) throw new Error(`Envoy would refuse weight ${weight} of ${name}`);
        return { cluster: name, weight };
      });
    default:
      throw new Error(`the simulation does not know the TCP destination ${to.case}`);
  }
}

/** The part of a route that a decision needs. */
interface Found {
  readonly configuration: RouteConfiguration;
  readonly host: VirtualHost | undefined;
  readonly route: Route | undefined;
}

function throughManager(manager: HttpConnectionManager, config: SidecarConfig, { peer, request }: Passage): Decision {
  if (request === undefined) return { kind: 'no-http' };
  const seen: SeenRequest = {
    ...request,
    authority: manager.stripTrailingHostDot ? request.authority.replace(/\.(?=:\d+$|$)/, '') : request.authority,
    path: manager.normalizePath === true ? normalized(request.path) : request.path,
  };
  const found = findRoute(routesOf(manager, config), seen);
  for (const filter of manager.httpFilters) {
    const any = typedConfig(filter);
    if (packs(any, RouterSchema)) return act(found.route, seen);
    if (!passes(httpRules(filter.name, unpack(any, HttpRbacSchema).rules, found), { peer, request: seen })) {
      return { kind: 'reply', status: 403, ...refusalOf(manager, found.route) };
    }
  }
  throw new Error('a connection manager without a router');
}

function routesOf({ routeSpecifier }: HttpConnectionManager, config: SidecarConfig): RouteConfiguration {
  if (routeSpecifier.case === 'routeConfig') return routeSpecifier.value;
  const name = routeSpecifier.case === 'rds' ? routeSpecifier.value.routeConfigName : '';
  const routes = config.routes.get(name);
  if (routes === undefined) throw new Error(`the sidecar has no routes "${name}"`);
  return routes;
}

function findRoute(configuration: RouteConfiguration, request: SeenRequest): Found {
  const host = findHost(configuration, request.authority.toLowerCase());
  return { configuration, host, route: host?.routes.find(({ match }) => matchesRoute(match, request)) };
}

/** Exact names, then `*`; others that Envoy knows (`*.example.com`) the mesh does not write. */
function findHost({ name, virtualHosts }: RouteConfiguration, authority: string): VirtualHost | undefined {
  const byDomain = new Map<string, VirtualHost>();
  for (const host of virtualHosts) {
    for (const domain of host.domains) {
      if (byDomain.has(domain)) throw new Error(`Envoy would refuse routes ${name}: domain ${domain} stands twice`);
      if (domain !== '*' && domain.includes('*')) throw new Error(`the simulation does not know the domain ${domain}`);
      byDomain.set(domain, host);
    }
  }
  return byDomain.get(authority) ?? byDomain.get('*');
}

/** The nearest rules win: the route's, the virtual host's, the configuration's, the filter's. */
function httpRules(filter: string, own: RBAC | undefined, { route, host, configuration }: Found): RBAC | undefined {
  const nearest = [route, host, configuration].find((entry) => entry?.typedPerFilterConfig[filter] !== undefined);
  if (nearest === undefined) return own;
  return unpack(nearest.typedPerFilterConfig[filter], RBACPerRouteSchema).rbac?.rules;
}

/** What the local reply's first mapper, which takes RBAC's refusals, writes from the route's metadata. */
function refusalOf(
  { localReplyConfig }: HttpConnectionManager,
  route: Route | undefined,
): { denied: string; body: string } {
  const mapper = localReplyConfig?.mappers.find(({ headersToAdd }) =>
    headersToAdd.some(({ header }) => header?.key === DENIED_HEADER && header.value === '%METADATA(ROUTE:osm:denied)%'),
  );
  const metadata = mapper === undefined ? undefined : route?.metadata?.filterMetadata['osm'];
  const field = (name: string): string => (typeof metadata?.[name] === 'string' ? metadata[name] : '');
  return { denied: field('denied'), body: field('message') };
}

function act(route: Route | undefined, request: SeenRequest): Decision {
  switch (route?.action.case) {
    case undefined:
      return { kind: 'reply', status: 404, denied: '', body: '' };
    case 'directResponse': {
      const { status, body } = route.action.value;
      const denied =
        route.responseHeadersToAdd.find(({ header }) => header?.key === DENIED_HEADER)?.header?.value ?? '';
      return {
        kind: 'reply',
        status,
        denied,
        body: body?.specifier.case === 'inlineString' ? body.specifier.value : '',
      };
    }
    case 'route': {
      const { clusterSpecifier: to } = route.action.value;
      if (to.case === 'cluster') return { kind: 'forward', to: [{ cluster: to.value, weight: 1 }], request };
      if (to.case !== 'weightedClusters') throw new Error(`the simulation does not know the destination ${to.case}`);
      const clusters = to.value.clusters.map(({ name, weight }) => ({ cluster: name, weight: weight ?? 0 }));
      return { kind: 'forward', to: clusters, request };
    }
    default:
      throw new Error(`the simulation does not know the action ${route?.action.case}`);
  }
}
