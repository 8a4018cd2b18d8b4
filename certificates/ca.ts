import type { X509Certificate as ParsedCertificate } from 'node:crypto';
import { CertificateError } from './error.ts';
import { ecdsaP256, exportKey, generateKeys, importSigningKey, randomSerial, type SigningKey } from './keys.ts';
import { fingerprintOf, isIssuedBy, isSelfSigned, readCertificates } from './pem.ts';
import type { SecretBytes } from './secret-bytes.ts';
import * as x509 from './x509.ts';

export const organization = 'Open Service Mesh';
export const rootCommonName = 'osm-ca.openservicemesh.io';

/** Certificates are valid from this long before they are made, in milliseconds: clocks of nodes differ. */
export const backdateMs = 60_000;

const tenYearsMs = 10 * 365 * 24 * 3_600_000;

/** A certificate and key that issue certificates: a root, or an intermediate with its chain. */
export interface CertificateAuthority {
  /** PEM as in the Secret's `ca.crt`: the issuing certificate first, then its chain. */
  readonly certificatePem: string;
  readonly privateKey: SecretBytes;
  /** PEM that goes behind each leaf, so that a peer which knows the root alone can follow; empty for a root. */
  readonly intermediatesPem: string;
  /** PEM of what peers must trust. */
  readonly rootsPem: string;
  /** sha256 of the issuing certificate, lower-case hex: tells authorities apart. */
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  readonly issuer: x509.X509Certificate;
  readonly signing: SigningKey;
}

export interface CreateAuthorityOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly commonName?: string;
  /** Ten years by default. */
  readonly lifetimeMs?: number;
}

/** Makes a new self-signed root: ECDSA P-256. */
export async function createAuthority(options: CreateAuthorityOptions): Promise<CertificateAuthority> {
  const { now, commonName = rootCommonName, lifetimeMs = tenYearsMs } = options;
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: [{ O: [organization] }, { CN: [commonName] }],
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + lifetimeMs),
    signingAlgorithm: ecdsaP256,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return parseAuthority(`${certificate.toString('pem')}\n`, await exportKey(keys.privateKey), now);
}

/**
 * Reads an authority, ours or a user's own. Throws a CertificateError that says what is wrong with it: a key of another
 * certificate, a certificate that may not issue, one that is not valid now, a chain whose links do not fit or that ends without its root.
 */
export async function parseAuthority(
  certificatePem: string,
  privateKey: SecretBytes,
  now: number,
): Promise<CertificateAuthority> {
  const chain = readChain(certificatePem);
  const [own] = chain;
  if (own === undefined) throw new CertificateError('ca-unreadable', 'ca.crt holds no PEM certificate');
  const name = own.subject.replaceAll('\n', ', ');
  if (!own.ca) {
    throw new CertificateError(
      'ca-not-an-authority',
      `The certificate of ${name} may not issue others (basicConstraints CA)`,
    );
  }
  const notAfter = own.validToDate.getTime();
  if (notAfter <= now) throw new CertificateError('ca-expired', `The certificate of ${name} expired on ${own.validTo}`);
  if (own.validFromDate.getTime() > now) {
    throw new CertificateError('ca-not-yet-valid', `The certificate of ${name} is valid only from ${own.validFrom}`);
  }
  const { signing, publicKey } = await importSigningKey(privateKey);
  if (!own.publicKey.equals(publicKey)) {
    throw new CertificateError('ca-key-mismatch', `The private key is not that of the certificate of ${name}`);
  }
  checkLinks(chain);
  const top = chain.at(-1) ?? own;
  if (!isSelfSigned(top)) {
    throw new CertificateError(
      'ca-root-missing',
      `ca.crt ends with the certificate of ${top.subject.replaceAll('\n', ', ')}, which is no root: ` +
        'put its issuers behind it, up to the self-signed one. Peers (Envoy) trust nothing less',
    );
  }
  return {
    certificatePem,
    privateKey,
    intermediatesPem: chain
      .filter((each) => !isSelfSigned(each))
      .map(toPem)
      .join(''),
    rootsPem: toPem(top),
    fingerprint: fingerprintOf(own),
    notAfter,
    issuer: new x509.X509Certificate(new Uint8Array(own.raw)),
    signing,
  };
}

function readChain(pem: string): ParsedCertificate[] {
  try {
    return readCertificates(pem);
  } catch (error) {
    throw new CertificateError('ca-unreadable', 'ca.crt holds a certificate that cannot be parsed', { cause: error });
  }
}

/** Each certificate must be issued by the next one. */
function checkLinks(chain: readonly ParsedCertificate[]): void {
  for (const [index, certificate] of chain.slice(0, -1).entries()) {
    const above = chain[index + 1];
    if (above !== undefined && !isIssuedBy(certificate, above)) {
      throw new CertificateError(
        'ca-chain-broken',
        `ca.crt, certificate ${index + 1} is not issued by certificate ${index + 2}: ` +
          'put the issuing certificate first and each one before its issuer',
      );
    }
  }
}

function toPem(certificate: ParsedCertificate): string {
  return certificate.toString();
}
