import type { CertificateAuthority } from './ca.ts';
import { type Account, issueWorkload, type WorkloadCertificate } from './leaf.ts';

/** Who signs workload certificates. The built-in CA here; cert-manager and Vault have the same shape. */
export interface Issuer {
  /** A new certificate, with a new key. Throws when it cannot be had now; the caller tries again. */
  issueWorkload(account: Account): Promise<WorkloadCertificate>;
  /** What peers must trust: PEM roots by trust domain. */
  roots(): ReadonlyMap<string, string>;
}

export interface BuiltinIssuerOptions {
  readonly authority: CertificateAuthority;
  /** E.g. `cluster.local`. */
  readonly trustDomain: string;
  /** Asked at each issue, so that a change of `serviceCertValidityDuration` counts from the next certificate on. */
  readonly lifetimeMs: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The issuer whose authority lives in this process. */
export function createBuiltinIssuer({ authority, trustDomain, lifetimeMs, now }: BuiltinIssuerOptions): Issuer {
  const roots = new Map([[trustDomain, authority.rootsPem]]);
  return {
    issueWorkload: (account) =>
      issueWorkload(authority, account, trustDomain, { now: now(), lifetimeMs: lifetimeMs() }),
    roots: () => roots,
  };
}
