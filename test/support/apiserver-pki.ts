/** Certificates of a real Kubernetes API on loopback, its kubeconfigs, and the keys that sign service-account tokens. */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyPairKeyObjectResult,
  randomBytes,
  webcrypto,
} from 'node:crypto';

/** How tokens are signed: ES256 or RS256. */
export type AccountKeyType = 'P-256' | 'RSA';

/** PEM, as kube-apiserver reads them. */
export function makeAccountKey(type: AccountKeyType): { readonly privatePem: string; readonly publicPem: string } {
  const { privateKey, publicKey }: KeyPairKeyObjectResult =
    type === 'RSA'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privatePem: privateKey.export({ type: type === 'RSA' ? 'pkcs1' : 'sec1', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

export function kubeconfig(url: string, ca: string, user: { certificate: string; key: string }): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': base64(ca) } }],
    users: [
      {
        name: 'test',
        user: { 'client-certificate-data': base64(user.certificate), 'client-key-data': base64(user.key) },
      },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  });
}

export interface Authority {
  readonly certificate: string;
  /** A certificate for client and server use on loopback; groups become organizations, as the API server reads them. */
  issue(commonName: string, groups: readonly string[]): Promise<{ certificate: string; key: string }>;
}

export async function makeAuthority(): Promise<Authority> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const newKeys = (): Promise<webcrypto.CryptoKeyPair> =>
    webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 86_400_000) };
  const keys = await newKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(15).toString('hex'),
    name: 'CN=test-ca',
    ...validity,
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  return {
    certificate: root.toString('pem'),
    async issue(commonName, groups) {
      const leafKeys = await newKeys();
      const leaf = await x509.X509CertificateGenerator.create({
        serialNumber: randomBytes(15).toString('hex'),
        subject: [...groups.map((group) => ({ O: [group] })), { CN: [commonName] }],
        issuer: root.subject,
        ...validity,
        signingAlgorithm: algorithm,
        publicKey: leafKeys.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.SubjectAlternativeNameExtension([
            { type: 'dns', value: 'localhost' },
            { type: 'ip', value: '127.0.0.1' },
          ]),
        ],
      });
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', leafKeys.privateKey));
      const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({
        type: 'sec1',
        format: 'pem',
      });
      return { certificate: leaf.toString('pem'), key: key.toString() };
    },
  };
}
