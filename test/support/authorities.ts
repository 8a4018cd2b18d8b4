/** Authorities as users bring them. */
import { generateKeyPairSync } from 'node:crypto';
import { backdateMs, type CertificateAuthority, parseAuthority } from '#certificates/ca.ts';
import { importSigningKey, randomSerial } from '#certificates/keys.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import * as x509 from '#certificates/x509.ts';

/** An intermediate below another authority, with its chain up to the root: EC P-256, or RSA 2048. */
export async function intermediateOf(
  above: CertificateAuthority,
  name: string,
  type: 'ec' | 'rsa' = 'ec',
  restrictions: readonly x509.Extension[] = [],
): Promise<CertificateAuthority> {
  const { privateKey, publicKey } =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = new SecretBytes(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  const { signing } = await importSigningKey(key);
  const spki = new x509.PublicKey(new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })));
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: [{ CN: [name] }],
    issuer: above.issuer.subjectName,
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + 24 * 3_600_000),
    signingAlgorithm: above.signing.algorithm,
    publicKey: await spki.export(signing.algorithm, ['verify']),
    signingKey: above.signing.key,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(spki),
      // As every real authority: of two roots of one name, it says which is meant.
      await x509.AuthorityKeyIdentifierExtension.create(above.issuer.publicKey),
      ...restrictions,
    ],
  });
  return parseAuthority(`${certificate.toString('pem')}\n${above.certificatePem}`, key, now);
}

/** Name constraints (RFC 5280, 4.2.1.10): DNS names below this one (`.corp.example`) alone are permitted. */
export function dnsNamesBelow(domain: string): x509.Extension {
  const wrap = (tag: number, content: Uint8Array): Uint8Array => Uint8Array.of(tag, content.length, ...content);
  const name = wrap(0x82, new TextEncoder().encode(domain));
  return new x509.Extension('2.5.29.30', true, wrap(0x30, wrap(0xa0, wrap(0x30, name))));
}
