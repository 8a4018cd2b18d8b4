/** The two secrets of a sidecar. Kept out of every shared cache: a private key belongs to one stream. */
import type { Resource } from '#xds/resource.ts';
import { SecretSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { SPIFFECertValidatorConfigSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js';
import { contentHash, encode, pack, resource, typeUrl } from './encode.ts';
import { ROOTS_SECRET, WORKLOAD_SECRET } from './names.ts';

export interface SidecarSecrets {
  readonly workload: {
    /** PEM, leaf first, then intermediates. */
    readonly certificateChain: string;
    /** Shows the key's PEM (PKCS #8). A function, so that nothing that prints this object prints the key. */
    readonly privateKey: () => string;
  };
  /** PEM bundles by trust domain; while a rotation runs, more than one certificate or domain. */
  readonly roots: Readonly<Record<string, string>>;
}

export function translateSecrets(secrets: SidecarSecrets): Resource[] {
  return [new WorkloadSecret(secrets.workload), roots(secrets.roots)];
}

/** The roots alone, for a sidecar whose certificate is not there yet. */
export function translateRoots(bundles: SidecarSecrets['roots']): Resource[] {
  return [roots(bundles)];
}

/**
 * The bytes hold the private key. They come out when they are asked for, to be written to the stream, and through nothing that
 * prints, logs or copies the resource. Its version is the certificate's fingerprint: nothing derived from the key leaves as
 * metadata.
 */
class WorkloadSecret implements Resource {
  readonly type = typeUrl(SecretSchema);
  readonly name = WORKLOAD_SECRET;
  readonly hash: string;
  readonly #bytes: Uint8Array;

  constructor({ certificateChain, privateKey }: SidecarSecrets['workload']) {
    this.hash = contentHash(new TextEncoder().encode(certificateChain));
    this.#bytes = encode(SecretSchema, {
      name: WORKLOAD_SECRET,
      type: {
        case: 'tlsCertificate',
        value: { certificateChain: inline(certificateChain), privateKey: inline(privateKey()) },
      },
    });
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }
}

/** A certificate is checked against the roots of its own trust domain and no other's. */
function roots(bundles: SidecarSecrets['roots']): Resource {
  const domains = Object.keys(bundles).toSorted();
  return resource(SecretSchema, ROOTS_SECRET, {
    name: ROOTS_SECRET,
    type: {
      case: 'validationContext',
      value: {
        customValidatorConfig: {
          name: 'envoy.tls.cert_validator.spiffe',
          typedConfig: pack(SPIFFECertValidatorConfigSchema, {
            trustDomains: domains.map((name) => ({ name, trustBundle: inline(bundles[name] ?? '') })),
          }),
        },
      },
    },
  });
}

function inline(value: string) {
  return { specifier: { case: 'inlineString' as const, value } };
}
