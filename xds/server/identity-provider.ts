/**
 * The server's certificate as grpc-js asks for it, replaced while it serves. grpc-js' own file watcher reads certificate and key
 * apart and can pair an old one with a new one in the middle of a Secret's update; this one serves the pairs that it is given.
 */
import type { experimental } from '@grpc/grpc-js';

type Provider = experimental.CertificateProvider;
type Listener = experimental.IdentityCertificateUpdateListener;

/** PEM chain and key that belong together. */
export interface IdentityPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface IdentityProvider {
  readonly provider: Provider;
  /** New connections get this pair from now on. */
  serve(pair: IdentityPair): void;
}

export function identityProvider(first: IdentityPair): IdentityProvider {
  const listeners = new Set<Listener>();
  let current = update(first);
  return {
    provider: {
      addCaCertificateListener() {},
      removeCaCertificateListener() {},
      addIdentityCertificateListener(listener) {
        listeners.add(listener);
        process.nextTick(listener, current);
      },
      removeIdentityCertificateListener(listener) {
        listeners.delete(listener);
      },
    },
    serve(pair) {
      current = update(pair);
      for (const listener of listeners) listener(current);
    },
  };
}

function update({ cert, key }: IdentityPair): experimental.IdentityCertificateUpdate {
  return { certificate: cert, privateKey: key };
}
