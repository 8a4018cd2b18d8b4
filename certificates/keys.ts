import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { CertificateError } from './error.ts';
import { SecretBytes } from './secret-bytes.ts';

/** Of every key that nobody asked to be another. Envoy's default; a pair takes 0.1 ms, where RSA 2048 takes 200. */
export const ecdsaP256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface SigningAlgorithm {
  readonly name: string;
  readonly namedCurve?: string;
  readonly hash: string;
}

/** A private key that signs, and how. */
export interface SigningKey {
  readonly key: webcrypto.CryptoKey;
  readonly algorithm: SigningAlgorithm;
}

/** The key of a workload certificate. */
export type KeyType = { readonly kind: 'ecdsa' } | { readonly kind: 'rsa'; readonly bits: number };

export const ecdsa: KeyType = { kind: 'ecdsa' };

const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const;

/** ECDSA P-256 where nothing else is asked for. */
export function generateKeys(type: KeyType = ecdsa): Promise<webcrypto.CryptoKeyPair> {
  const algorithm =
    type.kind === 'ecdsa' ? ecdsaP256 : { ...rsa, modulusLength: type.bits, publicExponent: new Uint8Array([1, 0, 1]) };
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

/** How a key made by `generateKeys` signs. */
export function signingAlgorithmOf(type: KeyType): SigningAlgorithm {
  return type.kind === 'ecdsa' ? ecdsaP256 : rsa;
}

/** PKCS #8 in PEM, as Envoy and Kubernetes read it. */
export async function exportKey(key: webcrypto.CryptoKey): Promise<SecretBytes> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return new SecretBytes(`-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`);
}

/** 128 random bits, in hex. The first byte is never 0, or DER would shorten it, nor above 7f, which DER reads as negative. */
export function randomSerial(): string {
  // 17 bytes: a fixed first one, and all 128 bits of the rest are random.
  return `01${randomBytes(16).toString('hex')}`;
}

const curves: Readonly<Record<string, { namedCurve: string; hash: string }>> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
  secp521r1: { namedCurve: 'P-521', hash: 'SHA-512' },
};

/** Reads a PEM private key: PKCS #1, SEC 1 or PKCS #8; RSA of at least 2048 bits, or EC on a NIST curve. */
export async function importSigningKey(pem: SecretBytes): Promise<{ signing: SigningKey; publicKey: KeyObject }> {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem.revealText());
  } catch {
    // Not even the cause is kept: a parser's words may quote what it read.
    throw new CertificateError(
      'ca-key-unreadable',
      'The private key is not an unencrypted PEM key (PKCS #1, SEC 1 or PKCS #8)',
    );
  }
  const algorithm = algorithmOf(key);
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const imported = await webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), algorithm, false, ['sign']);
  return { signing: { key: imported, algorithm }, publicKey: createPublicKey(key) };
}

function algorithmOf(key: KeyObject): SigningAlgorithm {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'rsa' && (details?.modulusLength ?? 0) >= 2048) {
    return rsa;
  }
  const curve = curves[details?.namedCurve ?? ''];
  if (key.asymmetricKeyType === 'ec' && curve !== undefined) return { name: 'ECDSA', ...curve };
  throw new CertificateError(
    'ca-key-unsupported',
    `The private key is ${key.asymmetricKeyType} ${details?.modulusLength ?? details?.namedCurve ?? ''}`.trimEnd() +
      ': use RSA of at least 2048 bits, or EC on P-256, P-384 or P-521',
  );
}
