/** TLS between sidecars: who we are and whom we trust come by SDS, whom we expect stands in the context itself. */
import { type AccountKey, spiffePattern } from '#mesh/identity.ts';
import type { TlsSettings } from '#mesh/objects.ts';
import type { Peers } from '#mesh/view.ts';
import { TransportSocketSchema } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import {
  CertificateValidationContextSchema,
  SubjectAltNameMatcherSchema,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
} from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import {
  CommonTlsContextSchema,
  CommonTlsContext_CombinedCertificateValidationContextSchema as CombinedSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { RegexMatcherSchema } from '#xds/proto/gen/envoy/type/matcher/v3/regex_pb.js';
import { StringMatcherSchema } from '#xds/proto/gen/envoy/type/matcher/v3/string_pb.js';
import { encode, packed } from './encode.ts';
import { memo } from './memo.ts';
import { MESH_ALPN, ROOTS_SECRET, WORKLOAD_SECRET } from './names.ts';
import { awaited } from './sources.ts';
import { type Field, type Piece, nested, tagOf, text } from './wire.ts';

const SOCKET_CONFIG = tagOf(TransportSocketSchema, 'typedConfig');
const UPSTREAM_COMMON = tagOf(UpstreamTlsContextSchema, 'commonTlsContext');
const UPSTREAM_SNI = tagOf(UpstreamTlsContextSchema, 'sni');
const DOWNSTREAM_COMMON = tagOf(DownstreamTlsContextSchema, 'commonTlsContext');
const COMBINED = tagOf(CommonTlsContextSchema, 'combinedValidationContext');
const OWN_CHECKS = tagOf(CombinedSchema, 'defaultValidationContext');
const SANS = tagOf(CertificateValidationContextSchema, 'matchTypedSubjectAltNames');
const SAN_MATCHER = tagOf(SubjectAltNameMatcherSchema, 'matcher');
const SAFE_REGEX = tagOf(StringMatcherSchema, 'safeRegex');
const REGEX = tagOf(RegexMatcherSchema, 'regex');

const socketName = encode(TransportSocketSchema, { name: 'envoy.transport_sockets.tls' });
const offersMeshAlpn = encode(CommonTlsContextSchema, { alpnProtocols: [MESH_ALPN] });
const roots = encode(CombinedSchema, { validationContextSdsSecretConfig: { name: ROOTS_SECRET, sdsConfig: awaited } });
const uri = encode(SubjectAltNameMatcherSchema, { sanType: SubjectAltNameMatcher_SanType.URI });

/** What a caller's connection to `sni` expects: one of `accounts` answers. The fields of a TransportSocket. */
export function upstreamTls(sni: string, accounts: readonly AccountKey[], tls: TlsSettings): Piece[] {
  return [
    socketName,
    packed(
      SOCKET_CONFIG,
      UpstreamTlsContextSchema,
      nested(UPSTREAM_COMMON, ...identity(tls, sanMatchers({ kind: 'accounts', accounts })), offersMeshAlpn),
      text(UPSTREAM_SNI, sni),
    ),
  ];
}

/**
 * What an inbound chain demands of a caller: a certificate of the mesh, and of one of `peers`. The fields of a TransportSocket.
 *
 * No ALPN stands here although callers offer one: the chain is chosen by it, but once it is negotiated, Envoy's AUTO codec
 * takes it for HTTP/1.1 and never looks for HTTP/2. Sessions are not resumed: a resumed one is not verified again, so it
 * would outlive the caller's certificate, and the policy that let it in.
 */
export function downstreamTls(peers: Peers, tls: TlsSettings): Piece[] {
  return [
    socketName,
    packed(
      SOCKET_CONFIG,
      DownstreamTlsContextSchema,
      nested(DOWNSTREAM_COMMON, ...identity(tls, sanMatchers(peers))),
      demandsCertificate,
    ),
  ];
}

const demandsCertificate = encode(DownstreamTlsContextSchema, {
  requireClientCertificate: true,
  sessionTicketKeysType: { case: 'disableStatelessSessionResumption', value: true },
  disableStatefulSessionResumption: true,
});

function identity(tls: TlsSettings, sans: readonly Field[]): Piece[] {
  return [ownSide(tls), nested(COMBINED, nested(OWN_CHECKS, ...sans), roots)];
}

/** Versions, ciphers and our own certificate. */
const ownSide = memo((tls: TlsSettings) =>
  encode(CommonTlsContextSchema, {
    tlsParams: {
      tlsMinimumProtocolVersion: protocolVersion(tls.minVersion),
      tlsMaximumProtocolVersion: protocolVersion(tls.maxVersion),
      cipherSuites: [...tls.cipherSuites],
      ecdhCurves: [...tls.ecdhCurves],
    },
    tlsCertificateSdsSecretConfigs: [{ name: WORKLOAD_SECRET, sdsConfig: awaited }],
  }),
);

function sanMatchers(peers: Peers): Field[] {
  switch (peers.kind) {
    case 'any-mesh-identity':
      return [];
    case 'accounts':
      // An empty list of matchers would let everybody in; no certificate carries this name.
      if (peers.accounts.length === 0) return [nested(SANS, nobody)];
      return peers.accounts.map((account) =>
        nested(SANS, uri, nested(SAN_MATCHER, nested(SAFE_REGEX, text(REGEX, spiffePattern(account))))),
      );
  }
}

const nobody = encode(SubjectAltNameMatcherSchema, {
  sanType: SubjectAltNameMatcher_SanType.URI,
  matcher: { matchPattern: { case: 'exact', value: 'osm:nobody' } },
});

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
