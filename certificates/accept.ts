/** What a provider outside answered, checked before any sidecar gets it: a wrong certificate must not replace a good one. */
import type { X509Certificate } from 'node:crypto';
import type { SigningRequest } from './csr.ts';
import { CertificateError } from './error.ts';
import type { IssuedCertificate } from './leaf.ts';
import type { CertificateNames } from './names.ts';
import { fingerprintOf, isIssuedBy, isSelfSigned, readCertificates } from './pem.ts';
import * as x509 from './x509.ts';

export interface Answer {
  /** PEM: the certificate, then whatever else came with it. */
  readonly certificates: string;
  /** PEM: authorities above it, in any order; empty when the provider names none. */
  readonly authorities: string;
}

export interface Asked {
  readonly names: CertificateNames;
  readonly request: SigningRequest;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface Accepted {
  readonly certificate: IssuedCertificate;
  /** PEM of the self-signed authority at the end of the chain: what peers must trust. */
  readonly rootPem: string;
}

const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';

/** Throws a CertificateError that says which peer would refuse it, and why. */
export function accept(answer: Answer, { names, request, now }: Asked): Accepted {
  const [leaf, ...others] = parse(answer);
  if (leaf === undefined) throw unusable('holds no certificate');
  checkUse(leaf, names, request, now);
  const path = pathAbove(leaf, others);
  const top = path.at(-1) ?? leaf;
  if (!isSelfSigned(top)) {
    // Envoy's SPIFFE check takes an intermediate for no anchor, even where it is the one that is trusted.
    throw new CertificateError(
      'provider-root-unknown',
      `The provider's answer holds no root: its chain ends with a certificate issued by ${oneLine(top.issuer)}. ` +
        'Give the provider that chain up to the self-signed one (Vault: import the root into the mount; ' +
        'cert-manager: put it into ca.crt of the issuer)',
    );
  }
  const intermediates = path.filter((each) => !isSelfSigned(each));
  return {
    rootPem: top.toString(),
    certificate: {
      chainPem: [leaf, ...intermediates].map(String).join(''),
      privateKey: request.privateKey,
      notBefore: leaf.validFromDate.getTime(),
      notAfter: leaf.validToDate.getTime(),
      fingerprint: fingerprintOf(leaf),
      serial: leaf.serialNumber.toLowerCase(),
    },
  };
}

function parse({ certificates, authorities }: Answer): X509Certificate[] {
  try {
    return [...readCertificates(certificates), ...readCertificates(authorities)];
  } catch (error) {
    throw unusable('cannot be parsed', error);
  }
}

function checkUse(leaf: X509Certificate, names: CertificateNames, request: SigningRequest, now: number): void {
  const key = leaf.publicKey.export({ type: 'spki', format: 'der' });
  if (!key.equals(request.publicKey)) throw unusable('is for another key than the one that was asked for');
  checkNames(leaf, names);
  if (leaf.validToDate.getTime() <= now) throw unusable(`expired on ${leaf.validTo}`);
  // A minute for clocks that differ: peers have the same trouble, and it passes.
  if (leaf.validFromDate.getTime() > now + 60_000) throw unusable(`is valid only from ${leaf.validFrom}`);
  // Envoy's SPIFFE check refuses a leaf that could sign others, and takes one that says nothing for such.
  const parsed = new x509.X509Certificate(new Uint8Array(leaf.raw));
  const flags = parsed.getExtension(x509.KeyUsagesExtension)?.usages ?? 0;
  const { digitalSignature, keyCertSign, cRLSign } = x509.KeyUsageFlags;
  if (leaf.ca || (flags & digitalSignature) === 0 || (flags & (keyCertSign | cRLSign)) !== 0) {
    throw unusable('must carry the key usage digital signature, and none of an authority');
  }
  const usages = leaf.keyUsage as readonly string[] | undefined;
  for (const [oid, name] of [
    [serverAuth, 'server auth'],
    [clientAuth, 'client auth'],
  ] as const) {
    if (usages !== undefined && !usages.includes(oid)) {
      throw unusable(`may not be used for ${name}, which both ends of a connection need`);
    }
  }
}

/** Of a workload peers look at the URI alone; of others at any of their DNS names, and a URI would make one a workload. */
function checkNames(leaf: X509Certificate, { uri, dns }: CertificateNames): void {
  const carried = (leaf.subjectAltName ?? '').split(', ');
  const ofType = (type: string): string[] =>
    carried.filter((name) => name.startsWith(type)).map((name) => name.slice(type.length));
  const uris = ofType('URI:');
  if (uris.length > 1 || uris[0] !== uri) {
    const has = uris.length === 0 ? 'no URI name' : uris.join(', ');
    throw unusable(`carries ${has}, where peers want ${uri === undefined ? 'none' : `exactly ${uri}`}`);
  }
  const carriedDns = new Set(ofType('DNS:'));
  const missing = dns.filter((name) => !carriedDns.has(name));
  if (uri === undefined && missing.length > 0) throw unusable(`does not carry the DNS name ${missing.join(', ')}`);
}

/** The authorities above a certificate, the one that signed it first, as far as they are known. */
function pathAbove(leaf: X509Certificate, pool: readonly X509Certificate[]): X509Certificate[] {
  const path: X509Certificate[] = [];
  for (let below = leaf; !isSelfSigned(below); ) {
    const above = pool.find((candidate) => candidate.ca && !path.includes(candidate) && isIssuedBy(below, candidate));
    if (above === undefined) break;
    path.push(above);
    below = above;
  }
  return path;
}

function unusable(what: string, cause?: unknown): CertificateError {
  return new CertificateError(
    'provider-certificate-unusable',
    `The certificate that the provider returned ${what}`,
    cause === undefined ? undefined : { cause },
  );
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}
