/**
 * How old an HTTP connection between sidecars grows. A certificate is looked at once, when a connection begins, so this is
 * also how long a certificate that was replaced, or an account that is gone, can still be met in use.
 *
 * Both ends hold it. At the caller's the connection takes no further request and ends with its last one; nothing can cross on
 * the way, since who closes is who sends. At the server's it is for callers that keep theirs longer, and asks them to end it:
 * HTTP/2 by GOAWAY, HTTP/1.1 by `connection: close` in the next answer, as closing it unasked would lose the request that
 * crosses. Neither cuts a request or a stream, however long it is.
 */
import type { HttpProtocolOptionsSchema } from '#xds/proto/gen/envoy/config/core/v3/protocol_pb.js';
import type { HttpConnectionManagerSchema } from '#xds/proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { type Init, duration } from './encode.ts';

type Options = Init<typeof HttpProtocolOptionsSchema>;
type ConnectionManager = Init<typeof HttpConnectionManagerSchema>;

/** 0 is no limit. */
export function maxConnectionDuration(milliseconds: number): Options {
  return milliseconds === 0 ? {} : { maxConnectionDuration: duration(milliseconds) };
}

/** The same for those who call us. */
export function maxCallerConnectionDuration(milliseconds: number): ConnectionManager {
  if (milliseconds === 0) return {};
  return {
    commonHttpProtocolOptions: maxConnectionDuration(milliseconds),
    http1SafeMaxConnectionDuration: true,
  };
}
