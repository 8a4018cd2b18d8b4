/**
 * Whether a peer takes a certificate, found out as a peer does: by a TLS handshake, inside this process. What a chain may say
 * against its own certificates (name constraints, path lengths, usages of an authority) is for a TLS library to judge, not for us.
 */
import { duplexPair } from 'node:stream';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { CertificateError } from './error.ts';
import type { Accepted } from './accept.ts';

/** How strong keys must be is not the question. */
const ciphers = 'DEFAULT:@SECLEVEL=0';
/** In one process; it never waits for anybody. */
const handshakeMs = 5_000;

/** Throws a CertificateError when whoever trusts the root alone would refuse the certificate. */
export async function proveTrusted({ certificate, rootPem }: Accepted): Promise<void> {
  const [near, far] = duplexPair();
  const server = new TLSSocket(far, {
    isServer: true,
    secureContext: createSecureContext({
      cert: certificate.chainPem,
      key: certificate.privateKey.revealText(),
      ciphers,
    }),
  });
  // The alert of a client that refuses; the client itself says why.
  server.on('error', () => undefined);
  const client = connect({ socket: near, ca: rootPem, ciphers, checkServerIdentity: () => undefined });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('secureConnect', resolve);
      client.once('error', reject);
      client.setTimeout(handshakeMs, () => reject(new Error('the handshake did not end')));
    });
  } catch (error) {
    throw new CertificateError(
      'provider-certificate-unusable',
      `Peers that trust the root would refuse the certificates under it: ${error instanceof Error ? error.message : String(error)}. ` +
        'An authority of the chain may not issue them: see its name constraints, path length and usages',
      { cause: error },
    );
  } finally {
    client.destroy();
    server.destroy();
  }
}

const endOfLeaf = '-----END CERTIFICATE-----';
const mostChains = 64;

/** The same, once for each chain above a leaf: an issuer outside may come to sign under another one at any time. */
export function createProof(): (accepted: Accepted) => Promise<void> {
  const proven = new Set<string>();
  return async (accepted) => {
    const { chainPem } = accepted.certificate;
    const chain = chainPem.slice(chainPem.indexOf(endOfLeaf) + endOfLeaf.length) + accepted.rootPem;
    if (proven.has(chain)) return;
    await proveTrusted(accepted);
    if (proven.size >= mostChains) proven.clear();
    proven.add(chain);
  };
}
