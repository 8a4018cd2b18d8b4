import type { webcrypto } from 'node:crypto';
import { organization } from './ca.ts';
import { exportKey, generateKeys, type KeyType, signingAlgorithmOf } from './keys.ts';
import { asGeneralNames, type CertificateNames } from './names.ts';
import type { SecretBytes } from './secret-bytes.ts';
import * as x509 from './x509.ts';

/** A request for a certificate, with the key that it was made with: the key stays here. */
export interface SigningRequest {
  /** PEM, PKCS #10. */
  readonly csrPem: string;
  /** PEM, PKCS #8. */
  readonly privateKey: SecretBytes;
  /** DER, SubjectPublicKeyInfo: the certificate that comes back must hold it. */
  readonly publicKey: Uint8Array;
}

/** Asks for the names that the built-in authority would give, and for use by both ends of a connection. */
export async function createSigningRequest(names: CertificateNames, keyType: KeyType): Promise<SigningRequest> {
  const { commonName } = names;
  const keys: webcrypto.CryptoKeyPair = await generateKeys(keyType);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ O: [organization] }, ...(commonName === undefined ? [] : [{ CN: [commonName] }])],
    keys,
    signingAlgorithm: signingAlgorithmOf(keyType),
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension(asGeneralNames(names)),
    ],
  });
  return {
    csrPem: `${csr.toString('pem')}\n`,
    privateKey: await exportKey(keys.privateKey),
    publicKey: new Uint8Array(csr.publicKey.rawData),
  };
}
