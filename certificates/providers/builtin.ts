import type { CertificateAuthority } from '../ca.ts';
import { issueLeaf } from '../leaf.ts';
import { type Provider, providerOf } from './provider.ts';

/** The authority whose key this process holds. `now`: milliseconds since 1970. `standbyPem`: roots that peers trust beside its own. */
export function createBuiltinProvider(authority: CertificateAuthority, now: () => number, standbyPem = ''): Provider {
  return providerOf({
    kind: 'builtin',
    async sign(names, { lifetimeMs, keyType }) {
      const certificate = await issueLeaf(authority, names, { now: now(), lifetimeMs, keyType });
      return { certificate, rootPem: authority.rootsPem };
    },
    publishedRoots: () => Promise.resolve(authority.rootsPem + standbyPem),
    signsUnder: authority.rootsPem,
    close: () => undefined,
  });
}
