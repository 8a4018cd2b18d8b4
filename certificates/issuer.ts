import type { Account, WorkloadCertificate } from './leaf.ts';

/** Whoever issues workload certificates, as the cache of them needs it; `providers/` holds who that may be. */
export interface Issuer {
  /**
   * A new certificate, with a new key. Throws when it cannot be had now; the caller tries again. `onWaiting` is told what is
   * waited for when it takes long, as an error; the issue goes on.
   */
  issueWorkload(account: Account, onWaiting: (error: unknown) => void): Promise<WorkloadCertificate>;
}
