/** No request is lost where it can be helped: which failures a caller's sidecar tries again, on another host. */
import { type RetryPolicy, RetryPolicySchema } from '#xds/proto/gen/envoy/config/route/v3/route_components_pb.js';
import { PreviousHostsPredicateSchema } from '#xds/proto/gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js';
import { PreviousPrioritiesConfigSchema } from '#xds/proto/gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js';
import { duration, pack, shared } from './encode.ts';
import { NOT_SENT_HEADER, RESET_HEADER } from './names.ts';

/** Safe for any method: nothing of the request had reached an application. */
export const retryUnsent: RetryPolicy = onAnotherHost(
  'connect-failure,refused-stream,reset-before-request,retriable-headers',
  [NOT_SENT_HEADER],
);

/** For methods that change nothing: also when the connection broke under the request. */
export const retrySafeMethod: RetryPolicy = onAnotherHost('connect-failure,refused-stream,reset,retriable-headers', [
  NOT_SENT_HEADER,
  RESET_HEADER,
]);

/** RE2 of the methods that may be sent twice (RFC 9110: safe methods). */
export const SAFE_METHODS = 'GET|HEAD|OPTIONS';

function onAnotherHost(retryOn: string, marks: readonly string[]): RetryPolicy {
  return shared(RetryPolicySchema, {
    retryOn,
    retriableHeaders: marks.map((name) => ({
      name,
      headerMatchSpecifier: { case: 'presentMatch' as const, value: true },
    })),
    numRetries: 3,
    retryHostPredicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        configType: { case: 'typedConfig', value: pack(PreviousHostsPredicateSchema, {}) },
      },
    ],
    // Envoy asks no host whether it lives, so the zone that a client prefers counts as healthy until its endpoints are taken out:
    // without this every retry would stay in the zone, if need be on its only host. Where no other is left, all count again.
    retryPriority: {
      name: 'envoy.retry_priorities.previous_priorities',
      configType: { case: 'typedConfig', value: pack(PreviousPrioritiesConfigSchema, { updateFrequency: 1 }) },
    },
    // With fewer hosts than retries the last draw counts, even of a host that failed before.
    hostSelectionRetryMaxAttempts: 5n,
    retryBackOff: { baseInterval: duration(25), maxInterval: duration(250) },
  });
}
