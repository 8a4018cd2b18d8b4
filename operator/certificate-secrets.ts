/** What the plan must know of the certificates in our Secrets. Private keys are looked at by nobody here. */
import { X509Certificate } from 'node:crypto';
import type { ManagedObject, ObservedCa, ServingCertificate } from './plan/observed.ts';

/** Reads the CA in a Secret with `ca.crt`, whose first certificate signs, and `private.key`. */
export function readAuthority(secret: ManagedObject | undefined, name: string): ObservedCa {
  if (secret === undefined) return { kind: 'absent' };
  const unreadable = (what: string): ObservedCa => ({
    kind: 'unreadable',
    message: `Secret ${name}: ${what}; restore it, or delete it to have a new authority made.`,
  });
  const rootsPem = decode(secret, 'ca.crt');
  if (rootsPem === undefined || decode(secret, 'private.key') === undefined) {
    return unreadable('ca.crt or private.key is missing');
  }
  const [signer] = certificatesOf(rootsPem);
  if (signer === undefined) return unreadable('ca.crt holds no certificate that can be read');
  return { kind: 'present', authority: { rootsPem, signer: hashOf(signer), notAfter: Date.parse(signer.validTo) } };
}

/** Reads a component's serving certificate; undefined when it is not there or is of no use, and so to be made anew. */
export function readServingCertificate(
  secret: ManagedObject | undefined,
  trustedPem: string,
): ServingCertificate | undefined {
  if (secret === undefined || decode(secret, 'tls.key') === undefined) return undefined;
  const [certificate] = certificatesOf(decode(secret, 'tls.crt') ?? '');
  if (certificate === undefined) return undefined;
  const signer = certificatesOf(trustedPem).find((root) => certificate.verify(root.publicKey));
  return {
    signer: signer === undefined ? undefined : hashOf(signer),
    rootsPem: decode(secret, 'ca.crt') ?? '',
    dnsNames: (certificate.subjectAltName ?? '')
      .split(', ')
      .filter((name) => name.startsWith('DNS:'))
      .map((name) => name.slice('DNS:'.length)),
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
  };
}

/** The value of a Secret's key as text; undefined when it is absent or empty. */
export function decode(secret: ManagedObject, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined || value === '' ? undefined : Buffer.from(value, 'base64').toString('utf8');
}

function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    // Not a certificate: as good as none; the callers say so, or make it anew.
    return [];
  }
}

function hashOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}
