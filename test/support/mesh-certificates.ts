/** A small certificate authority for tests that need no Kubernetes: workload certificates as the mesh issues them. */
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { type AccountKey, spiffeId } from '#mesh/identity.ts';
import type { SidecarSecrets } from '#xds/translate/translate.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface TestAuthority {
  readonly trustDomain: string;
  /** PEM. */
  readonly root: string;
  /** Certificate and key of an account, and this authority as its only root. */
  issue(account: AccountKey): Promise<SidecarSecrets>;
}

export async function testAuthority(trustDomain = 'cluster.local'): Promise<TestAuthority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const root = await X509CertificateGenerator.createSelfSigned({
    name: `CN=test root of ${trustDomain}`,
    keys,
    signingAlgorithm: algorithm,
    ...validity(),
    extensions: [new BasicConstraintsExtension(true, 1, true)],
  });
  return {
    trustDomain,
    root: root.toString('pem'),
    issue: (account) => issue(root, keys.privateKey, trustDomain, account),
  };
}

async function issue(
  root: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  trustDomain: string,
  account: AccountKey,
): Promise<SidecarSecrets> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const leaf = await X509CertificateGenerator.create({
    subject: `CN=${account.replace('/', '.')}`,
    issuer: root.subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    ...validity(),
    extensions: [
      // Envoy's SPIFFE validator refuses a leaf that does not say what its key is for.
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new SubjectAlternativeNameExtension([{ type: 'url', value: spiffeId(trustDomain, account) }]),
    ],
  });
  const privateKey = PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return {
    workload: { certificateChain: leaf.toString('pem'), privateKey: () => privateKey },
    roots: { [trustDomain]: root.toString('pem') },
  };
}

function validity(): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
}
