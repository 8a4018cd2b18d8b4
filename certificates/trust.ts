/** What peers trust: PEM roots by trust domain. Values, compared and merged; pure. */
import { fingerprintOf, fingerprintsIn, mergeRoots, readCertificates } from './pem.ts';

export type Trust = ReadonlyMap<string, string>;

export const noTrust: Trust = new Map();

/** Several bundles as one. Expired roots are left out, and with them a domain that has no other. */
export function mergeTrust(parts: Iterable<Trust>, now: number): Trust {
  const bundles = new Map<string, string[]>();
  for (const part of parts) {
    for (const [domain, pem] of part) bundles.set(domain, [...(bundles.get(domain) ?? []), pem]);
  }
  const merged = [...bundles]
    .map(([domain, pems]) => [domain, mergeRoots(pems, now)] as const)
    .filter(([, pem]) => pem !== '')
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return new Map(merged);
}

export function sameTrust(a: Trust, b: Trust): boolean {
  return a.size === b.size && [...a].every(([domain, pem]) => b.get(domain) === pem);
}

/** True when each root of a part is in the whole, under the same domain. */
export function covers(whole: Trust, part: Trust): boolean {
  return [...part].every(([domain, pem]) => {
    const known = fingerprintsIn(whole.get(domain) ?? '');
    return fingerprintsIn(pem).every((root) => known.includes(root));
  });
}

/** The roots for which `keep` holds, each told by its trust domain and fingerprint. */
export function filterTrust(trust: Trust, keep: (domain: string, fingerprint: string) => boolean): Trust {
  const kept = [...trust].map(([domain, pem]) => {
    const roots = readCertificates(pem).filter((root) => keep(domain, fingerprintOf(root)));
    return [domain, roots.map(String).join('')] as const;
  });
  return new Map(kept.filter(([, pem]) => pem !== ''));
}

/** Fingerprints of the roots, by trust domain. */
export function printsOf(trust: Trust): Map<string, readonly string[]> {
  return new Map([...trust].map(([domain, pem]) => [domain, fingerprintsIn(pem)]));
}
