/** The content of the ConfigMap `osm-trust` of each meshed namespace: how a sidecar knows the controller, and itself. */
import { stringify } from 'yaml';
import { TOKEN_DIRECTORY, TRUST_DIRECTORY } from './names.ts';

/** Keys of the ConfigMap `osm-trust` (docs/architecture.md). */
export interface TrustData extends Record<string, string> {
  'ca.crt': string;
  'roots.yaml': string;
  'token.yaml': string;
}

/**
 * @param caPem PEM roots of the control-plane CA, one or (while it rotates) two.
 * @param controlPlaneNamespace where the controller's Service is.
 */
export function trustConfigMapData(caPem: string, controlPlaneNamespace: string): TrustData {
  return {
    'ca.crt': caPem,
    'roots.yaml': secretFile('xds-roots', {
      validation_context: {
        trusted_ca: { filename: `${TRUST_DIRECTORY}/ca.crt` },
        watched_directory: { path: TRUST_DIRECTORY },
        match_typed_subject_alt_names: [
          { san_type: 'DNS', matcher: { exact: `osm-controller.${controlPlaneNamespace}.svc` } },
        ],
      },
    }),
    'token.yaml': secretFile('xds-token', {
      generic_secret: {
        secret: { filename: `${TOKEN_DIRECTORY}/token`, watched_directory: { path: TOKEN_DIRECTORY } },
      },
    }),
  };
}

function secretFile(name: string, secret: Readonly<Record<string, unknown>>): string {
  const type = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
  return stringify({ resources: [{ '@type': type, name, ...secret }] }, { lineWidth: 0 });
}
