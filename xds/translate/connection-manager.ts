/** HTTP connection managers: one a port outbound, one a chain inbound. */
import type { FilterSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import { RouterSchema } from '#xds/proto/gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  type HttpFilterSchema,
  HttpConnectionManagerSchema,
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ServerHeaderTransformation,
  RdsSchema,
} from '#xds/proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { type Init, duration, encode, pack, typeUrl } from './encode.ts';
import { inboundLocalReplies } from './local-reply.ts';
import { maxCallerConnectionDuration } from './max-connection-duration.ts';
import { memoNumber } from './memo.ts';
import { denyAllHttp } from './rbac.ts';
import { awaited } from './sources.ts';
import { assemble, nested, tagOf, text } from './wire.ts';

type Filter = Init<typeof FilterSchema>;
type HttpFilter = Init<typeof HttpFilterSchema>;
export type ConnectionManager = Init<typeof HttpConnectionManagerSchema>;

/** Adds no x-envoy-* header of its own to what passes. */
export const router: HttpFilter = {
  name: 'envoy.filters.http.router',
  configType: { case: 'typedConfig', value: pack(RouterSchema, { suppressEnvoyHeaders: true }) },
};

const outboundSettings = filterSettings({ statPrefix: 'outbound', httpFilters: [router] });

/** For calls of the application, by Host header over the routes `routeName`. */
export function outboundConnectionManager(routeName: string): Filter {
  return withRoutes(outboundSettings, routeName);
}

/**
 * For calls to the application. The path is brought to its plain form (dot segments resolved) for matching and for the
 * application alike, so both read the same one; what Envoy cannot decide for the application is `ambiguousPath`'s.
 */
export function inboundConnectionManager(routeName: string, maxConnectionMs: number): Filter {
  return withRoutes(inboundSettings(maxConnectionMs), routeName);
}

const inboundSettings = memoNumber((maxConnectionMs) =>
  filterSettings({
    statPrefix: 'inbound',
    httpFilters: [denyAllHttp, router],
    normalizePath: true,
    localReplyConfig: inboundLocalReplies,
    ...maxCallerConnectionDuration(maxConnectionMs),
  }),
);

/**
 * What all have in common: bytes pass as they are (no server, request id or forwarded-for header of ours), and a stream may
 * be silent as long as it likes.
 */
export function connectionManager(settings: ConnectionManager): Filter {
  return filter(filterSettings(settings));
}

function filterSettings(settings: ConnectionManager): Uint8Array<ArrayBuffer> {
  return encode(HttpConnectionManagerSchema, {
    codecType: HttpConnectionManager_CodecType.AUTO,
    serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
    generateRequestId: false,
    preserveExternalRequestId: true,
    streamIdleTimeout: duration(0),
    httpProtocolOptions: { acceptHttp10: true },
    http2ProtocolOptions: { allowConnect: true },
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    // `web.shop.svc.cluster.local.` is the name that needs no search, and means the same service.
    stripTrailingHostDot: true,
    ...settings,
  });
}

const RDS = tagOf(HttpConnectionManagerSchema, 'rds');
const ROUTE_NAME = tagOf(RdsSchema, 'routeConfigName');
const fromStream = encode(RdsSchema, { configSource: awaited });

/** The routes' name is all in which one manager differs from the next. */
function withRoutes(settings: Uint8Array, routeName: string): Filter {
  return filter(assemble(settings, nested(RDS, fromStream, text(ROUTE_NAME, routeName))));
}

function filter(value: Uint8Array<ArrayBuffer>): Filter {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { case: 'typedConfig', value: { typeUrl: typeUrl(HttpConnectionManagerSchema), value } },
  };
}
