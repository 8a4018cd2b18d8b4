/** What the server's side lets through, for pods of one account. */
import type { AccountKey } from './identity.ts';
import { ANY_REQUEST, compareSpecificity, covers, disjoint, matchKey } from './matches.ts';
import type { Access } from './model.ts';
import { sortedSet } from './order.ts';
import type { Denial, HttpMatch, InboundRoute, Peers } from './view.ts';

const ANYONE: Peers = { kind: 'any-mesh-identity' };

const NO_IDENTITY: Denial = { key: 'not-allowed', message: 'the caller has no identity of the mesh' };

/** Allowed accounts in a message, before it says how many more there are. */
const NAMED_ACCOUNTS = 5;

/**
 * The routes of an account's HTTP services, most specific first. Equal matches are one route. As the first match decides, a
 * route also lets through whom a wider route lets through; where two matches overlap without one covering the other, the
 * first carries the second's match and peers in `alsoAllowed`. So a request passes exactly when one of the matches passes it.
 */
export function inboundRoutes(access: Access, destination: AccountKey): InboundRoute[] {
  if (access.kind === 'permissive') return [{ match: ANY_REQUEST, allowed: ANYONE, denial: NO_IDENTITY }];
  const merged = new Map<string, { match: HttpMatch; accounts: Set<AccountKey> }>();
  for (const { match, sources } of access.http.get(destination) ?? []) {
    const key = matchKey(match);
    const entry = merged.get(key) ?? { match, accounts: new Set() };
    for (const source of sources) entry.accounts.add(source);
    merged.set(key, entry);
  }
  const entries = [...merged.values()].sort((a, b) => compareSpecificity(a.match, b.match));
  return entries.map((entry) => {
    const allowed = new Set(entry.accounts);
    // comparing expressions costs most, so only where somebody further could come in
    const brings = (other: { readonly accounts: ReadonlySet<AccountKey> }): boolean =>
      [...other.accounts].some((account) => !allowed.has(account));
    for (const other of entries.filter(brings)) {
      if (covers(other.match, entry.match)) for (const account of other.accounts) allowed.add(account);
    }
    const overlapping = entries.filter((other) => brings(other) && !disjoint(entry.match, other.match));
    const alsoAllowed = overlapping.map((other) => ({
      match: other.match,
      allowed: accountPeers([...other.accounts].filter((account) => !allowed.has(account))),
    }));
    const route = { match: entry.match, allowed: accountPeers(allowed), denial: denialOf(destination, [...allowed]) };
    return alsoAllowed.length === 0 ? route : { ...route, alsoAllowed };
  });
}

/** Peers that may open a TCP connection to an account's pods on a target port. */
export function tcpPeers(access: Access, destination: AccountKey, targetPort: number): Peers {
  if (access.kind === 'permissive') return ANYONE;
  const grants = access.tcp.get(destination) ?? [];
  return accountPeers(
    grants
      .filter(({ ports }) => ports.length === 0 || ports.includes(targetPort))
      .flatMap(({ sources }) => [...sources]),
  );
}

function accountPeers(accounts: Iterable<AccountKey>): Peers {
  return { kind: 'accounts', accounts: sortedSet(accounts) as AccountKey[] };
}

function denialOf(destination: AccountKey, allowed: readonly AccountKey[]): Denial {
  const names = sortedSet(allowed);
  const more = names.length > NAMED_ACCOUNTS ? ` and ${names.length - NAMED_ACCOUNTS} more` : '';
  const who = names.length === 0 ? 'nobody' : names.slice(0, NAMED_ACCOUNTS).join(', ') + more;
  return {
    key: 'not-allowed',
    message:
      `the caller's service account may not send this request to ${destination}: TrafficTargets allow it to ${who}; ` +
      `to allow it, add the caller to the sources of a TrafficTarget whose destination is ${destination}`,
  };
}
