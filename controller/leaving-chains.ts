import type { InboundView } from '#mesh/view.ts';

/**
 * The new inbound view of a server, with those of its former chains that the new one lacks: a chain is taken away only when
 * clients have stopped to use it. A chain that both have is the new one at once, so a narrowed policy is obeyed without delay.
 * Gives `next` itself when nothing leaves.
 */
export function withLeavingChains(next: InboundView, before: InboundView): InboundView {
  const at = ({ targetPort, sni }: InboundView['chains'][number]): string => `${targetPort} ${sni}`;
  const places = new Set(next.chains.map(at));
  const names = new Set(next.chains.map(({ name }) => name));
  const leaving = before.chains.filter((chain) => !places.has(at(chain)) && !names.has(chain.name));
  if (leaving.length === 0) return next;
  const chains = [...next.chains, ...leaving].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { ...next, key: `${next.key}+${leaving.map(({ key }) => key).join('+')}`, chains };
}
