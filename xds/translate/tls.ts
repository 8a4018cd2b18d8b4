/** TLS between sidecars: who we are and whom we trust come by SDS, whom we expect stands in the context itself. */
import { type AccountKey, spiffePattern } from '#mesh/identity.ts';
import type { TlsSettings } from '#mesh/objects.ts';
import type { Peers } from '#mesh/view.ts';
import type { TransportSocketSchema } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import {
  type SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
} from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { type Init, pack } from './encode.ts';
import { MESH_ALPN, ROOTS_SECRET, WORKLOAD_SECRET } from './names.ts';
import { awaited } from './sources.ts';

type TransportSocket = Init<typeof TransportSocketSchema>;
type CommonTlsContext = Init<typeof CommonTlsContextSchema>;
type SanMatcher = Init<typeof SubjectAltNameMatcherSchema>;

/** What a caller's connection to `sni` expects: one of `accounts` answers. */
export function upstreamTls(sni: string, accounts: readonly AccountKey[], tls: TlsSettings): TransportSocket {
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: pack(UpstreamTlsContextSchema, {
        sni,
        commonTlsContext: { ...identity(tls, sanMatchers({ kind: 'accounts', accounts })), alpnProtocols: [MESH_ALPN] },
      }),
    },
  };
}

/**
 * What an inbound chain demands of a caller: a certificate of the mesh, and of one of `peers`.
 *
 * No ALPN stands here although callers offer one: the chain is chosen by it, but once it is negotiated, Envoy's AUTO codec
 * takes it for HTTP/1.1 and never looks for HTTP/2. Sessions are not resumed: a resumed one is not verified again, so it
 * would outlive the caller's certificate, and the policy that let it in.
 */
export function downstreamTls(peers: Peers, tls: TlsSettings): TransportSocket {
  return {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: pack(DownstreamTlsContextSchema, {
        requireClientCertificate: true,
        commonTlsContext: identity(tls, sanMatchers(peers)),
        sessionTicketKeysType: { case: 'disableStatelessSessionResumption', value: true },
        disableStatefulSessionResumption: true,
      }),
    },
  };
}

function identity(tls: TlsSettings, matchTypedSubjectAltNames: SanMatcher[]): CommonTlsContext {
  return {
    tlsParams: {
      tlsMinimumProtocolVersion: protocolVersion(tls.minVersion),
      tlsMaximumProtocolVersion: protocolVersion(tls.maxVersion),
      cipherSuites: [...tls.cipherSuites],
      ecdhCurves: [...tls.ecdhCurves],
    },
    tlsCertificateSdsSecretConfigs: [{ name: WORKLOAD_SECRET, sdsConfig: awaited }],
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: { matchTypedSubjectAltNames },
        validationContextSdsSecretConfig: { name: ROOTS_SECRET, sdsConfig: awaited },
      },
    },
  };
}

function sanMatchers(peers: Peers): SanMatcher[] {
  switch (peers.kind) {
    case 'any-mesh-identity':
      return [];
    case 'accounts':
      // An empty list of matchers would let everybody in; no certificate carries this name.
      if (peers.accounts.length === 0) return [uriSan({ case: 'exact', value: 'osm:nobody' })];
      return peers.accounts.map((account) => uriSan({ case: 'safeRegex', value: { regex: spiffePattern(account) } }));
  }
}

function uriSan(matchPattern: NonNullable<NonNullable<SanMatcher['matcher']>['matchPattern']>): SanMatcher {
  return { sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern } };
}

function protocolVersion(version: TlsSettings['minVersion']): TlsParameters_TlsProtocol {
  switch (version) {
    case 'TLS_AUTO':
      return TlsParameters_TlsProtocol.TLS_AUTO;
    case 'TLSv1_0':
      return TlsParameters_TlsProtocol.TLSv1_0;
    case 'TLSv1_1':
      return TlsParameters_TlsProtocol.TLSv1_1;
    case 'TLSv1_2':
      return TlsParameters_TlsProtocol.TLSv1_2;
    case 'TLSv1_3':
      return TlsParameters_TlsProtocol.TLSv1_3;
  }
}
