import type { InboundChain, InboundView } from '#mesh/view.ts';

/** When each part of a server's inbound view began to leave, in milliseconds of one clock: a chain, or a host name of one. */
export type Leaving = ReadonlyMap<string, number>;

const NOTHING: Leaving = new Map();

/**
 * The new inbound view of a server, with what its former one has and the new one lacks for as long as clients may still call it:
 * whole chains, and host names of a chain (those of an apex whose split no longer leads here). A chain that both have goes by the
 * new policy at once, so a narrowed one is obeyed without delay.
 *
 * What leaves stays for `forMs` from when it began to, not until its clients have acknowledged: some of them are another replica's,
 * and nobody here knows what they have been told. Gives `next` itself when nothing stays.
 */
export function withLeaving(
  next: InboundView,
  before: InboundView,
  at: { readonly leaving: Leaving; readonly now: number; readonly forMs: number },
): { readonly inbound: InboundView; readonly leaving: Leaving } {
  if (next.key === before.key) return { inbound: next, leaving: NOTHING };
  const leaving = new Map<string, number>();
  const stays = (part: string): boolean => {
    const began = at.leaving.get(part) ?? at.now;
    leaving.set(part, began); // also when its time is over: until the server has been given a view without it
    return at.now < began + at.forMs;
  };
  const place = ({ targetPort, sni }: InboundChain): string => `${targetPort} ${sni}`;
  const former = new Map(before.chains.map((chain) => [chain.name, chain]));
  const taken = new Set(next.chains.flatMap((chain) => [place(chain), chain.name]));
  const chains = [
    ...next.chains.map((chain) => withLeavingHosts(chain, former.get(chain.name), stays)),
    ...before.chains.filter((chain) => !taken.has(place(chain)) && !taken.has(chain.name) && stays(chain.name)),
  ];
  if (chains.length === next.chains.length && chains.every((chain, index) => chain === next.chains[index])) {
    return { inbound: next, leaving };
  }
  chains.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { inbound: { ...next, key: `${next.key}+${chains.map(({ key }) => key).join('+')}`, chains }, leaving };
}

function withLeavingHosts(
  next: InboundChain,
  before: InboundChain | undefined,
  stays: (part: string) => boolean,
): InboundChain {
  if (next.policy.kind !== 'http' || before?.policy.kind !== 'http' || next.key === before.key) return next;
  const { routes } = next.policy;
  const known = new Set(routes.domains);
  const hosts = before.policy.routes.domains.filter((domain) => !known.has(domain) && stays(`${next.name} ${domain}`));
  if (hosts.length === 0) return next;
  const also = `+${hosts.join(',')}`;
  return {
    ...next,
    key: next.key + also,
    policy: { kind: 'http', routes: { ...routes, key: routes.key + also, domains: [...routes.domains, ...hosts] } },
  };
}
