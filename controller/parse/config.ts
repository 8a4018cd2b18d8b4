import { durationMs } from '#crds/duration.ts';
import type { FieldError } from '#crds/parse.ts';
import { parseMeshConfig } from '#crds/parse.ts';
import type { MeshConfigSpec } from '#crds/types.ts';
import type { DnsNames } from '#certificates/gateway-certificate.ts';
import type { KeyType } from '#certificates/keys.ts';
import type { SecretName } from '#certificates/secret-store.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import type { MeshSettings } from '#mesh/objects.ts';

/** `spec.certificate.ingressGateway`. */
export interface GatewaySettings {
  readonly dnsNames: DnsNames;
  readonly lifetimeMs: number;
  readonly secret: SecretName;
}

/** All that the controller takes from the MeshConfig. */
export interface ControllerSettings {
  readonly mesh: MeshSettings;
  readonly trustDomain: string;
  readonly certificateLifetimeMs: number;
  readonly keyType: KeyType;
  /** Of RSA keys, also where only a provider demands them. */
  readonly rsaBits: number;
  /** Undefined: no certificate for an ingress gateway is asked for. */
  readonly gateway: GatewaySettings | undefined;
  /** 0 is no limit. */
  readonly maxDataPlaneConnections: number;
  /** As the user wrote it; `''` keeps the one of the environment. */
  readonly logLevel: string;
}

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** What runs before the first valid MeshConfig was seen is nothing: the controller is not ready until then. */
export function parseSettings(
  object: KubeObject,
  cluster: { readonly namespace: string; readonly domain: string; readonly meshName: string },
):
  | { readonly ok: true; readonly settings: ControllerSettings }
  | { readonly ok: false; readonly errors: readonly FieldError[] } {
  const result = parseMeshConfig(object);
  if (!result.ok) return result;
  const { sidecar, traffic, certificate, observability } = result.value.spec;
  const rsaBits = keyBits(certificate.certKeyBitSize);
  return {
    ok: true,
    settings: {
      mesh: {
        meshName: cluster.meshName,
        namespace: cluster.namespace,
        clusterDomain: cluster.domain,
        permissive: traffic.enablePermissiveTrafficPolicyMode,
        egress: traffic.enableEgress,
        localProxyMode: sidecar.localProxyMode,
        tls: {
          minVersion: sidecar.tlsMinProtocolVersion,
          maxVersion: sidecar.tlsMaxProtocolVersion,
          cipherSuites: sidecar.cipherSuites ?? [],
          ecdhCurves: sidecar.ecdhCurves ?? [],
        },
        applicationIdleTimeoutMs: durationMs(traffic.applicationIdleTimeout) ?? 2000,
        maxConnectionMs: durationMs(sidecar.maxConnectionDuration) ?? HOUR_MS,
      },
      trustDomain: certificate.trustDomain,
      certificateLifetimeMs: durationMs(certificate.serviceCertValidityDuration) ?? DAY_MS,
      keyType: certificate.certKeyType === 'RSA' ? { kind: 'rsa', bits: rsaBits } : { kind: 'ecdsa' },
      rsaBits,
      gateway: gatewaySettings(certificate.ingressGateway),
      maxDataPlaneConnections: sidecar.maxDataPlaneConnections,
      logLevel: observability.osmLogLevel,
    },
  };
}

function gatewaySettings(written: MeshConfigSpec['certificate']['ingressGateway']): GatewaySettings | undefined {
  const [first, ...others] = new Set(written?.subjectAltNames);
  if (written === undefined || first === undefined) return undefined;
  const { name, namespace } = written.secret;
  return {
    dnsNames: [first, ...others],
    lifetimeMs: durationMs(written.validityDuration) ?? DAY_MS,
    secret: { name, namespace },
  };
}

/** As OSM did: what is out of range counts as 2048. */
function keyBits(written: number): number {
  return written >= 2048 && written <= 4096 ? written : 2048;
}
