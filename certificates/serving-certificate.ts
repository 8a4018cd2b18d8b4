/**
 * A server's own certificate from a mounted Secret, taken up anew without a restart. Only pairs that belong together are handed
 * out: in the middle of a Secret's update the two files can be of two ages.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** PEM chain and key that belong together. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Reads `tls.crt` and `tls.key`. Throws when one is missing or they do not belong together. */
export async function readKeyPair(directory: string): Promise<KeyPair> {
  const [cert, key] = await Promise.all([readFile(join(directory, 'tls.crt')), readFile(join(directory, 'tls.key'))]);
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw new Error(`${directory}: tls.key does not belong to tls.crt (is the Secret being replaced just now?)`);
  }
  return { cert, key };
}

/** Serial number and end of life of a pair's leaf: for logs. */
export function describePair({ cert }: KeyPair): { readonly serial: string; readonly notAfter: Date } {
  const leaf = new X509Certificate(cert);
  return { serial: leaf.serialNumber, notAfter: new Date(leaf.validTo) };
}

export interface KeyPairWatch {
  stop(): void;
}

/** inotify can miss a change on some mounts; this long is the worst case then. */
const pollMs = 30_000;

/** Calls `changed` with each new pair; `failed` when the files cannot be used, in which case the former pair stays. */
export function watchKeyPair(
  directory: string,
  current: KeyPair,
  listeners: { readonly changed: (pair: KeyPair) => void; readonly failed: (error: unknown) => void },
): KeyPairWatch {
  let known = current;
  let reading: Promise<void> | undefined;
  let again = false;
  const read = async () => {
    try {
      const pair = await readKeyPair(directory);
      if (pair.cert.equals(known.cert) && pair.key.equals(known.key)) return;
      known = pair;
      listeners.changed(pair);
    } catch (error) {
      listeners.failed(error);
    }
  };
  // A Secret is swapped by several renames: one reading at a time, and one more after the last event.
  const look = () => {
    if (reading) {
      again = true;
      return;
    }
    reading = read().finally(() => {
      reading = undefined;
      if (!again) return;
      again = false;
      look();
    });
  };
  const watcher = watch(directory, look);
  watcher.on('error', listeners.failed);
  const timer = setInterval(look, pollMs);
  return {
    stop() {
      watcher.close();
      clearInterval(timer);
    },
  };
}
