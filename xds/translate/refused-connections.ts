/**
 * One line of JSON on the sidecar's standard output for each connection that ends for a reason which no answer can carry:
 * `kubectl logs POD -c envoy` then says why. The inbound listener tells of those that it refuses before any request is read,
 * the outbound listener of those that it closes to its own application. What is refused later says so itself (`x-osm-denied`).
 *
 * It stands on the listeners and is the same in every sidecar, so it never drains a connection; it is judged once a connection,
 * and writes nothing of those that are let in. What it can cost is bounded by what it costs to cause it:
 * - Each inbound line needs a connection of its own that has sent a first message, or that was held open for 15 s. One that is
 *   opened and closed again, as port scans and TCP health checks do, matches nothing here; the kubelet's probes do not pass this
 *   listener. Each outbound line needs a connection of the pod's own application.
 * - A line is below 2 KB: BoringSSL takes no server name of more than 255 bytes, and the name in a certificate is cut.
 * - The kubelet rotates the container's log.
 * There is no limit by rate: sampling would lose the one line that somebody looks for, and the limit that this Envoy has
 * (`process_ratelimit`) takes its numbers from a discovery service of their own alone.
 */
import {
  type AccessLogSchema,
  type AccessLogFilterSchema,
} from '#xds/proto/gen/envoy/config/accesslog/v3/accesslog_pb.js';
import { ExpressionFilterSchema } from '#xds/proto/gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js';
import { StdoutAccessLogSchema } from '#xds/proto/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js';
import { type Init, pack } from './encode.ts';
import { PLAINTEXT_CHAIN_PREFIX } from './names.ts';

/** Set by a handshake that failed, and by the inspector that found no TLS in the first bytes. To compare it would fail where it is not set. */
const TLS_FAILED = 'has(connection.transport_failure_reason)';
/** There the inspector's finding is no fault. */
const TAKES_PLAINTEXT = `xds.filter_chain_name.startsWith('${PLAINTEXT_CHAIN_PREFIX}')`;
/** Set before any request only where no chain was found. */
const NO_CHAIN = 'has(response.code_details)';
/**
 * Given up by the listener, which waits 15 s (Envoy's default) for the first bytes: it sets nothing by which to know it. A second
 * less, as that is by another clock.
 */
const SILENT = "xds.filter_chain_name == '' && request.duration >= duration('14s')";

/** The stable keys of `reason`; docs/guides/troubleshooting.md says what to do about each. */
const REASON =
  `${NO_CHAIN} ? (${TLS_FAILED} ? 'plaintext-refused' : 'server-name-unknown') : ` +
  `(${TLS_FAILED} ? 'tls-handshake-refused' : 'silent-caller')`;

const noChain: Init<typeof AccessLogFilterSchema> = {
  filterSpecifier: { case: 'responseFlagFilter', value: { flags: ['NR'] } },
};

/** Of the inbound listener. */
export const refusedConnections: Init<typeof AccessLogSchema> = line(
  {
    filterSpecifier: {
      case: 'orFilter',
      value: { filters: [noChain, cel(`${TLS_FAILED} && !${TAKES_PLAINTEXT}`), cel(SILENT)] },
    },
  },
  `%CEL(${REASON})%`,
  {
    downstream_transport_failure_reason: '%DOWNSTREAM_TRANSPORT_FAILURE_REASON%',
    requested_server_name: '%REQUESTED_SERVER_NAME%',
    // What the certificate claims: where the handshake failed, nobody vouches for it.
    downstream_peer_uri_san: '%CEL(connection.uri_san_peer_certificate):512%',
    response_flags: '%RESPONSE_FLAGS%',
    response_code_details: '%RESPONSE_CODE_DETAILS%',
  },
);

/** Said by the filter of the chains that close at once, and by nothing else on a connection. */
const CLOSED_AT_ONCE = "has(response.code_details) && response.code_details == 'direct_response'";

/** Of the outbound listener: its chains that close are named for their reasons. */
export const closedConnections: Init<typeof AccessLogSchema> = line(cel(CLOSED_AT_ONCE), '%FILTER_CHAIN_NAME%');

function cel(expression: string): Init<typeof AccessLogFilterSchema> {
  return {
    filterSpecifier: {
      case: 'extensionFilter',
      value: {
        name: 'envoy.access_loggers.extension_filters.cel',
        configType: { case: 'typedConfig', value: pack(ExpressionFilterSchema, { expression }) },
      },
    },
  };
}

function line(
  filter: Init<typeof AccessLogFilterSchema>,
  reason: string,
  fields: Readonly<Record<string, string>> = {},
): Init<typeof AccessLogSchema> {
  const jsonFormat = {
    start_time: '%START_TIME%',
    reason,
    downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
    downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
    ...fields,
  };
  const format = { format: { case: 'jsonFormat', value: jsonFormat } } as const;
  return {
    name: 'envoy.access_loggers.stdout',
    filter,
    configType: {
      case: 'typedConfig',
      value: pack(StdoutAccessLogSchema, { accessLogFormat: { case: 'logFormat', value: format } }),
    },
  };
}
