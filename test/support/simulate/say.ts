/** Outcomes as a person writes them in a test. */
import type { Fate, Outcome } from './simulate.ts';

/**
 * `answered by shop/web-1`, `answered by shop/web-1 (50%), shop/web-2 (50%)`, `403 not-allowed from the client's sidecar`,
 * `403 no-route from the server's sidecar`, `closed by the client's sidecar`, `closed by the server's sidecar`, `503`, `passed
 * through`. Parts of different kinds stand side by side, separated by `; `.
 */
export function say(outcome: Outcome): string {
  const shares = new Map<string, Map<string, number>>();
  for (const { fate, share } of outcome) {
    const [what, whom] = words(fate);
    const group = shares.get(what) ?? new Map<string, number>();
    group.set(whom, (group.get(whom) ?? 0) + share);
    shares.set(what, group);
  }
  const several = outcome.length > 1;
  return [...shares]
    .map(([what, group]) => {
      const only = shares.size === 1 && group.size === 1;
      const parts = [...group]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([whom, share]) => (several && !only ? `${whom} (${Math.round(share * 1000) / 10}%)`.trim() : whom));
      return `${what} ${parts.join(', ')}`.trim();
    })
    .toSorted()
    .join('; ');
}

function words(fate: Fate): [string, string] {
  switch (fate.kind) {
    case 'answered':
      return ['answered by', `${fate.pod}:${fate.port}`];
    case 'refused':
      if (fate.how === 'close') return [`closed by the ${fate.where}'s sidecar`, ''];
      return [`${fate.status} ${fate.why} from the ${fate.where}'s sidecar`, ''];
    case 'unavailable':
      return ['unavailable', ''];
    case 'passthrough':
      return ['passed through', ''];
    default:
      return fate satisfies never;
  }
}

/** As `mesh/check.ts` says it, so that both can be compared: the first way that is not answered, or the shares by service and account. */
export function verdict(outcome: Outcome): string {
  for (const { fate, cluster } of outcome) {
    if (fate.kind === 'passthrough' || cluster === 'passthrough') return 'passthrough';
    if (fate.kind === 'unavailable') return 'unavailable';
    if (fate.kind === 'refused') return `${fate.where}:${fate.why}`;
  }
  const shares = new Map<string, number>();
  for (const { fate, share, cluster } of outcome) {
    if (fate.kind !== 'answered') continue;
    const service = /^[^/]+\/([^|]+)\|/.exec(cluster)?.[1] ?? cluster;
    const whom = `${service} ${fate.account}`;
    shares.set(whom, (shares.get(whom) ?? 0) + share);
  }
  return sharesText(shares);
}

export function sharesText(shares: ReadonlyMap<string, number>): string {
  const parts = [...shares].map(([whom, share]) => `${whom} ${Math.round(share * 1e6) / 1e6}`);
  return `answered: ${parts.toSorted().join(', ')}`;
}
