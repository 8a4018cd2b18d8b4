import { createHash } from 'node:crypto';
import { backdateMs, type CertificateAuthority, organization } from './ca.ts';
import { ecdsa, exportKey, generateKeys, type KeyType, randomSerial } from './keys.ts';
import { type Account, asGeneralNames, type CertificateNames, dnsNamesAlone, workloadNames } from './names.ts';
import type { SecretBytes } from './secret-bytes.ts';
import * as x509 from './x509.ts';

export type { Account } from './names.ts';

/** A certificate with its key, for a TLS peer. Times are milliseconds since 1970. */
export interface IssuedCertificate {
  /** PEM: the certificate, then the intermediates up to the root, which is left out. */
  readonly chainPem: string;
  /** PEM, PKCS #8. */
  readonly privateKey: SecretBytes;
  readonly notBefore: number;
  readonly notAfter: number;
  /** sha256 of the certificate, lower-case hex: its version. */
  readonly fingerprint: string;
  /** Lower-case hex. */
  readonly serial: string;
}

export interface WorkloadCertificate extends IssuedCertificate {
  readonly account: Account;
  readonly trustDomain: string;
}

export interface LeafOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Cut to the end of the authority's own. */
  readonly lifetimeMs: number;
  /** Of the certificate's own key; ECDSA P-256 where left out. */
  readonly keyType?: KeyType;
}

/** A certificate by which an account is known to its peers: URI SAN (what they check) and DNS SAN. */
export async function issueWorkload(
  authority: CertificateAuthority,
  account: Account,
  trustDomain: string,
  options: LeafOptions,
): Promise<WorkloadCertificate> {
  const issued = await issueLeaf(authority, workloadNames(account, trustDomain), options);
  return { ...issued, account, trustDomain };
}

/** A certificate for a server with these DNS names; the first is its common name too. */
export function issueServing(
  authority: CertificateAuthority,
  dnsNames: readonly [string, ...string[]],
  options: LeafOptions,
): Promise<IssuedCertificate> {
  return issueLeaf(authority, dnsNamesAlone(dnsNames), options);
}

/** A certificate for both ends of a connection. */
export async function issueLeaf(
  authority: CertificateAuthority,
  names: CertificateNames,
  { now, lifetimeMs, keyType = ecdsa }: LeafOptions,
): Promise<IssuedCertificate> {
  const { commonName } = names;
  const keys = await generateKeys(keyType);
  const serial = randomSerial();
  // X.509 counts in seconds.
  const notBefore = Math.floor((now - backdateMs) / 1_000) * 1_000;
  const notAfter = Math.floor(Math.min(now + lifetimeMs, authority.notAfter) / 1_000) * 1_000;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    // Never empty: with an empty subject, the SAN would have to be critical.
    subject: [{ O: [organization] }, ...(commonName === undefined ? [] : [{ CN: [commonName] }])],
    issuer: authority.issuer.subjectName,
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    signingAlgorithm: authority.signing.algorithm,
    publicKey: keys.publicKey,
    signingKey: authority.signing.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(usagesOf(keyType), true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension(asGeneralNames(names)),
      ...authorityKeyIdentifier(authority),
    ],
  });
  return {
    chainPem: `${certificate.toString('pem')}\n${authority.intermediatesPem}`,
    privateKey: await exportKey(keys.privateKey),
    notBefore,
    notAfter,
    fingerprint: createHash('sha256').update(new Uint8Array(certificate.rawData)).digest('hex'),
    serial,
  };
}

/** RSA keys may also be asked to decrypt: cipher suites without ECDHE do that. */
function usagesOf({ kind }: KeyType): x509.KeyUsageFlags {
  const { digitalSignature, keyEncipherment } = x509.KeyUsageFlags;
  return kind === 'rsa' ? digitalSignature | keyEncipherment : digitalSignature;
}

/** Points at the authority's own key identifier, whichever way that was computed; left out when it has none. */
function authorityKeyIdentifier(authority: CertificateAuthority): x509.Extension[] {
  const own = authority.issuer.getExtension(x509.SubjectKeyIdentifierExtension);
  return own === null ? [] : [new x509.AuthorityKeyIdentifierExtension(own.keyId)];
}
