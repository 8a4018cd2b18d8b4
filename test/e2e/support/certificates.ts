/** Makes a client certificate by hand for an account, signed by an authority whose key is in a Secret: more than any pod can do. */
import type { X509Certificate } from 'node:crypto';
import { type CertificateAuthority, parseAuthority } from '#certificates/ca.ts';
import { issueWorkload } from '#certificates/leaf.ts';
import { readCertificates } from '#certificates/pem.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import { lab } from './lab.ts';

const HOUR_MS = 3_600_000;

export interface Signer {
  /** Secret of `osm-system`; the mesh's own workload root by default. */
  readonly secret?: string;
  readonly trustDomain?: string;
}

/** PEM for `tls.connect`: a certificate of `account` (`namespace/name`), valid for an hour. */
export async function makeClientCertificate(account: string, by: Signer = {}): Promise<{ cert: string; key: string }> {
  const { secret = 'osm-ca-bundle', trustDomain = 'cluster.local' } = by;
  const [namespace, name] = account.split('/') as [string, string];
  const now = Date.now();
  const authority = await authorityIn(secret, now);
  const issued = await issueWorkload(authority, { namespace, name }, trustDomain, { now, lifetimeMs: HOUR_MS });
  return { cert: issued.chainPem, key: issued.privateKey.revealText() };
}

/** The authority's own certificate. Rejects while the Secret is not there. */
export async function rootIn(secret: string): Promise<X509Certificate> {
  const [root] = readCertificates((await authorityIn(secret, Date.now())).certificatePem);
  if (root === undefined) throw new Error(`Secret ${secret} holds no certificate`);
  return root;
}

async function authorityIn(name: string, now: number): Promise<CertificateAuthority> {
  const secret = await lab.json<{ data: Record<string, string> }>(['get', 'secret', '-n', 'osm-system', name]);
  const text = (key: string): string => Buffer.from(secret.data[key] ?? '', 'base64').toString();
  return parseAuthority(text('ca.crt'), new SecretBytes(text('private.key')), now);
}
