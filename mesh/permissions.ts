/** What the server's side lets through, for pods of one account. */
import type { AccountKey } from './identity.ts';
import { ANY_REQUEST, compareSpecificity, covers, disjoint, matchKey } from './matches.ts';
import type { Access, HttpGrant } from './model.ts';
import { sortedSet } from './order.ts';
import { byAccounts, type Guarded, overlaps } from './overlaps.ts';
import type { Denial, HttpPermissions, InboundRoute, Peers } from './view.ts';

const ANYONE: Peers = { kind: 'any-mesh-identity' };

const NO_IDENTITY: Denial = { key: 'not-allowed', message: 'the caller has no identity of the mesh' };

/** Allowed accounts in a message, before it says how many more there are. */
const NAMED_ACCOUNTS = 5;

/**
 * The routes of an account's HTTP services, most specific first. Equal matches are one route. As the first match decides, a
 * route also lets through whom a wider route lets through; where two matches overlap without one covering the other, the
 * first carries the second's match and peers in `alsoAllowed`. Where very many overlap, all of them decide together, in
 * `grants`. So a request passes exactly when one of the matches passes it.
 */
export function httpPermissions(access: Access, destination: AccountKey): HttpPermissions {
  if (access.kind === 'permissive') {
    return { routes: [{ match: ANY_REQUEST, allowed: ANYONE, denial: NO_IDENTITY }] };
  }
  const entries = mergeEqual(access.http.get(destination) ?? []);
  const overlapping = overlaps(entries);
  if (overlapping !== undefined) {
    return { routes: entries.map((entry) => routeOf(destination, entry, overlapping.get(entry) ?? [])) };
  }
  return {
    routes: entries.map((entry) => routeOf(destination, entry, [])),
    grants: byAccounts(entries).map(({ accounts, entries: alike }) => ({
      matches: alike.map(({ match }) => match),
      allowed: accountPeers(accounts),
    })),
  };
}

function mergeEqual(grants: readonly HttpGrant[]): Guarded[] {
  const merged = new Map<string, Guarded>();
  for (const { match, sources } of grants) {
    const key = matchKey(match);
    const known = merged.get(key);
    // One set for all matches of a target, as long as no other target names them too.
    merged.set(key, { match, accounts: known === undefined ? sources : new Set([...known.accounts, ...sources]) });
  }
  return [...merged.values()].sort((a, b) => compareSpecificity(a.match, b.match));
}

/** `others` bring somebody further, and may match what this one matches. */
function routeOf(destination: AccountKey, entry: Guarded, others: readonly Guarded[]): InboundRoute {
  const allowed = new Set(entry.accounts);
  for (const other of others) {
    if (covers(other.match, entry.match)) for (const account of other.accounts) allowed.add(account);
  }
  const alsoAllowed = others.flatMap((other) => {
    const further = [...other.accounts].filter((account) => !allowed.has(account));
    if (further.length === 0 || disjoint(entry.match, other.match)) return [];
    return [{ match: other.match, allowed: accountPeers(further) }];
  });
  const route = { match: entry.match, allowed: accountPeers(allowed), denial: denialOf(destination, [...allowed]) };
  return alsoAllowed.length === 0 ? route : { ...route, alsoAllowed };
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
