import type { InboundChain, InboundView } from '#mesh/view.ts';

/**
 * The new inbound view of a server, with what its former one has and the new one lacks for as long as clients may still call it:
 * whole chains, and host names of a chain (those of an apex whose split no longer leads here). A chain that both have goes by the
 * new policy at once, so a narrowed one is obeyed without delay. Gives `next` itself when nothing leaves.
 */
export function withLeavingChains(next: InboundView, before: InboundView): InboundView {
  const at = ({ targetPort, sni }: InboundChain): string => `${targetPort} ${sni}`;
  const places = new Set(next.chains.map(at));
  const former = new Map(before.chains.map((chain) => [chain.name, chain]));
  const names = new Set(next.chains.map(({ name }) => name));
  const leaving = before.chains.filter((chain) => !places.has(at(chain)) && !names.has(chain.name));
  const staying = next.chains.map((chain) => withLeavingHosts(chain, former.get(chain.name)));
  if (leaving.length === 0 && staying.every((chain, index) => chain === next.chains[index])) return next;
  const chains = [...staying, ...leaving].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { ...next, key: `${next.key}+${chains.map(({ key }) => key).join('+')}`, chains };
}

function withLeavingHosts(next: InboundChain, before: InboundChain | undefined): InboundChain {
  if (next.policy.kind !== 'http' || before?.policy.kind !== 'http') return next;
  const { routes } = next.policy;
  const leaving = before.policy.routes.domains.filter((domain) => !routes.domains.includes(domain));
  if (leaving.length === 0) return next;
  const also = `+${leaving.join(',')}`;
  return {
    ...next,
    key: next.key + also,
    policy: { kind: 'http', routes: { ...routes, key: routes.key + also, domains: [...routes.domains, ...leaving] } },
  };
}
