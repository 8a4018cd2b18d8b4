/**
 * The server's own certificate, from a mounted Secret, without a restart. grpc-js' file watcher reads the two files
 * apart and can pair an old certificate with a new key in the middle of a Secret update; this one hands out only pairs
 * that belong together.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { experimental } from '@grpc/grpc-js';

type Provider = experimental.CertificateProvider;
type Listener = experimental.IdentityCertificateUpdateListener;

export interface ServingCertificate {
  readonly provider: Provider;
  /** Reads the directory again. True when there is a new pair; throws when the pair cannot be used. */
  reload(): Promise<boolean>;
  /** Serial number and end of life of what is served. */
  describe(): { readonly serial: string; readonly notAfter: Date } | undefined;
}

/** `directory` holds `tls.crt` (chain, PEM) and `tls.key`. Nothing is served before the first successful `reload`. */
export function servingCertificate(directory: string): ServingCertificate {
  const listeners = new Set<Listener>();
  let current: experimental.IdentityCertificateUpdate | undefined;
  let leaf: X509Certificate | undefined;
  return {
    provider: {
      addCaCertificateListener() {},
      removeCaCertificateListener() {},
      addIdentityCertificateListener(listener) {
        listeners.add(listener);
        if (current !== undefined) process.nextTick(listener, current);
      },
      removeIdentityCertificateListener(listener) {
        listeners.delete(listener);
      },
    },
    async reload() {
      const [certificate, privateKey] = await Promise.all([
        readFile(join(directory, 'tls.crt')),
        readFile(join(directory, 'tls.key')),
      ]);
      if (current?.certificate.equals(certificate) && current.privateKey.equals(privateKey)) return false;
      const parsed = new X509Certificate(certificate);
      if (!parsed.checkPrivateKey(createPrivateKey(privateKey))) {
        throw new Error(`${directory}: tls.key does not belong to tls.crt (is the Secret being replaced just now?)`);
      }
      leaf = parsed;
      current = { certificate, privateKey };
      for (const listener of listeners) listener(current);
      return true;
    },
    describe() {
      return leaf && { serial: leaf.serialNumber, notAfter: new Date(leaf.validTo) };
    },
  };
}
