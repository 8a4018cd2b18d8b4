/** Where a sidecar gets its dynamic resources: all from the one aggregated stream. */
import {
  ApiVersion,
  type ConfigSource,
  ConfigSourceSchema,
} from '#xds/proto/gen/envoy/config/core/v3/config_source_pb.js';
import { duration, shared } from './encode.ts';

/**
 * Routes and secrets: waited for without end. With the default, Envoy would open its listeners after 15 s without them and
 * call itself ready.
 */
export const awaited: ConfigSource = shared(ConfigSourceSchema, {
  configSourceSpecifier: { case: 'ads', value: {} },
  resourceApiVersion: ApiVersion.V3,
  initialFetchTimeout: duration(0),
});

/** Endpoints: waited for 15 s (Envoy's default), or a cluster whose endpoints never come would hold up all others. */
export const awaitedBriefly: ConfigSource = shared(ConfigSourceSchema, {
  configSourceSpecifier: { case: 'ads', value: {} },
  resourceApiVersion: ApiVersion.V3,
});
