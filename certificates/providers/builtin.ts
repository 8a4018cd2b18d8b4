import type { CertificateAuthority } from '../ca.ts';
import { issueWorkload } from '../leaf.ts';
import type { Provider } from './provider.ts';

/** The authority whose key this process holds. `now`: milliseconds since 1970. `standbyPem`: roots that peers trust beside its own. */
export function createBuiltinProvider(authority: CertificateAuthority, now: () => number, standbyPem = ''): Provider {
  return {
    kind: 'builtin',
    async issue(account, { trustDomain, lifetimeMs, keyType }) {
      const certificate = await issueWorkload(authority, account, trustDomain, { now: now(), lifetimeMs, keyType });
      return { certificate, rootPem: authority.rootsPem };
    },
    publishedRoots: () => Promise.resolve(authority.rootsPem + standbyPem),
    signsUnder: authority.rootsPem,
    close: () => undefined,
  };
}
