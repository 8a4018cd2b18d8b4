/** What an inbound sidecar writes on the answers that it makes itself, so that caller and caller's sidecar know why. */
import type { MetadataSchema } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import type { Denial } from '#mesh/view.ts';
import { ExpressionFilterSchema } from '#xds/proto/gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js';
import { HeaderValueOption_HeaderAppendAction } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import type {
  LocalReplyConfigSchema,
  ResponseMapperSchema,
} from '#xds/proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { type Init, pack } from './encode.ts';
import { DENIED_HEADER, METADATA, NOT_SENT_HEADER, RESET_HEADER } from './names.ts';

type ResponseMapper = Init<typeof ResponseMapperSchema>;

const KEY = 'denied';
const MESSAGE = 'message';

/** Route metadata: what RBAC's refusal on this route says. */
export function denialMetadata(denial: Denial): Init<typeof MetadataSchema> {
  return { filterMetadata: { [METADATA]: { [KEY]: denial.key, [MESSAGE]: denial.message } } };
}

/**
 * RBAC's own refusals only: another filter's 403 is none of ours. The reply is written before the filter leaves its result in
 * the dynamic metadata, so the response code's details are what tells it apart.
 */
const denied: ResponseMapper = {
  filter: {
    filterSpecifier: {
      case: 'extensionFilter',
      value: {
        name: 'envoy.access_loggers.extension_filters.cel',
        configType: {
          case: 'typedConfig',
          value: pack(ExpressionFilterSchema, { expression: "response.code_details.startsWith('rbac_access_denied')" }),
        },
      },
    },
  },
  headersToAdd: [setHeader(DENIED_HEADER, `%METADATA(ROUTE:${METADATA}:${KEY})%`)],
  bodyFormatOverride: {
    format: {
      case: 'textFormatSource',
      value: { specifier: { case: 'inlineString', value: `%METADATA(ROUTE:${METADATA}:${MESSAGE})%\n` } },
    },
  },
};

/** UF: no connection; UH: no host; UO: no room for one. Nothing was sent. */
const notSent: ResponseMapper = marked(['UF', 'UH', 'UO'], NOT_SENT_HEADER);

/** UC, UR: the connection or stream ended after the request was, perhaps, written. */
const reset: ResponseMapper = marked(['UC', 'UR'], RESET_HEADER);

function marked(flags: string[], name: string): ResponseMapper {
  return {
    filter: { filterSpecifier: { case: 'responseFlagFilter', value: { flags } } },
    headersToAdd: [setHeader(name, '1')],
  };
}

/** First match wins. */
export const inboundLocalReplies: Init<typeof LocalReplyConfigSchema> = {
  mappers: [denied, notSent, reset],
};

export function setHeader(key: string, value: string) {
  return { header: { key, value }, appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD };
}
