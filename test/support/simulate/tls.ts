/** Both sides of the mTLS between two sidecars: what each shows, and whom each takes. */
import { spiffeId, type AccountKey } from '#mesh/identity.ts';
import type { TransportSocket } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import {
  type CommonTlsContext,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { SubjectAltNameMatcher_SanType } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import { unpack } from './config.ts';
import { matchesText } from './matching.ts';

/** URI SAN of the certificate that a sidecar of this account holds: SDS gives each its own. */
export function certificateOf(account: AccountKey): string {
  return spiffeId('cluster.local', account);
}

export interface Offer {
  readonly sni: string;
  readonly alpn: readonly string[];
  /** Whether this peer's certificate is one of those that the caller expects. */
  readonly takes: (peer: string) => boolean;
}

/** Undefined where a cluster speaks plaintext. */
export function offerOf(socket: TransportSocket | undefined): Offer | undefined {
  if (socket === undefined) return undefined;
  const context = unpack(socketConfig(socket), UpstreamTlsContextSchema);
  const common = contextOf(context.commonTlsContext, 'workload');
  return { sni: context.sni, alpn: common.alpnProtocols, takes: (peer) => takes(common, peer) };
}

/** Whether a chain takes a caller that shows this certificate. A chain without TLS takes nobody who speaks it. */
export function admits(socket: TransportSocket | undefined, peer: string | undefined): boolean {
  if (socket === undefined) return false;
  const context = unpack(socketConfig(socket), DownstreamTlsContextSchema);
  const common = contextOf(context.commonTlsContext, 'workload');
  if (peer === undefined) return context.requireClientCertificate !== true;
  return takes(common, peer);
}

function socketConfig({ configType }: TransportSocket) {
  if (configType.case !== 'typedConfig') throw new Error('a transport socket without a config');
  return configType.value;
}

/** Ours, with the mesh's roots behind it: a context without them would take anybody's certificate. */
function contextOf(common: CommonTlsContext | undefined, certificate: string): CommonTlsContext {
  const [own] = common?.tlsCertificateSdsSecretConfigs ?? [];
  const combined =
    common?.validationContextType.case === 'combinedValidationContext' && common.validationContextType.value;
  if (common === undefined || own?.name !== certificate)
    throw new Error('a TLS context without the workload certificate');
  if (!combined || combined.validationContextSdsSecretConfig?.name !== 'roots')
    throw new Error('a TLS context without roots');
  return common;
}

function takes({ validationContextType }: CommonTlsContext, peer: string): boolean {
  const own =
    validationContextType.case === 'combinedValidationContext'
      ? validationContextType.value.defaultValidationContext
      : undefined;
  const matchers = own?.matchTypedSubjectAltNames ?? [];
  // None at all means no condition beside the roots.
  return (
    matchers.length === 0 ||
    matchers.some(
      ({ sanType, matcher }) =>
        sanType === SubjectAltNameMatcher_SanType.URI && matcher !== undefined && matchesText(matcher, peer),
    )
  );
}
