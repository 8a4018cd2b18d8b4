/** PEM bundles of certificates: public, so they may be logged and compared. */
import { X509Certificate } from 'node:crypto';

/** The certificates in a text, in their order; everything between them is skipped. Throws on one that cannot be parsed. */
export function readCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

/** True when `issuer` signed `certificate`. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** SHA-256, lower-case hex. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

const printed = new Map<string, readonly string[]>();
const mostPrinted = 64;

/** Fingerprints of a bundle's certificates, in their order. Read once: every certificate is issued under the same few roots. */
export function fingerprintsIn(pem: string): readonly string[] {
  const known = printed.get(pem);
  if (known !== undefined) return known;
  const prints = readCertificates(pem).map(fingerprintOf);
  if (printed.size >= mostPrinted) printed.clear();
  printed.set(pem, prints);
  return prints;
}

/**
 * One bundle of several, each certificate once, sorted by fingerprint: replicas and passes write the same bytes. Those that
 * have expired at `now` (milliseconds since 1970) are left out.
 */
export function mergeRoots(bundles: readonly string[], now: number): string {
  const found = new Map<string, X509Certificate>();
  for (const certificate of bundles.flatMap(readCertificates)) {
    if (certificate.validToDate.getTime() > now) found.set(fingerprintOf(certificate), certificate);
  }
  return [...found.entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, certificate]) => certificate.toString())
    .join('');
}
