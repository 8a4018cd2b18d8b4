/**
 * Which matches may meet the same request, found by how their paths begin: comparing each with each takes minutes and writes
 * gigabytes where one account has thousands.
 */
import type { AccountKey } from './identity.ts';
import { pathBeginning } from './matches.ts';
import { compareText, sortedSet } from './order.ts';
import type { HttpMatch } from './view.ts';

/** A match, and who may send what it matches. */
export interface Guarded {
  readonly match: HttpMatch;
  readonly accounts: ReadonlySet<AccountKey>;
}

/** Entries that begin alike and let the same accounts through. */
interface Alike {
  readonly accounts: ReadonlySet<AccountKey>;
  readonly entries: Guarded[];
}

/** Comparisons that are made for any account, and for each of its matches beside that. */
const ALLOWANCE = { once: 10_000, each: 6 };

/**
 * For each entry those others, in the order of the list, that may match the same request and let somebody further through.
 * Undefined where finding them would take more comparisons than any sensible policy needs.
 */
export function overlaps(entries: readonly Guarded[]): ReadonlyMap<Guarded, readonly Guarded[]> | undefined {
  const place = new Map(entries.map((entry, index) => [entry, index]));
  const groups = byBeginning(entries);
  const beginnings = [...groups.keys()].sort(compareText);
  const found = new Map<Guarded, readonly Guarded[]>();
  let left = ALLOWANCE.once + ALLOWANCE.each * entries.length;
  for (const entry of entries) {
    const others: Guarded[] = [];
    for (const beginning of related(pathBeginning(entry.match.pathRegex), groups, beginnings)) {
      for (const alike of groups.get(beginning)?.values() ?? []) {
        const further = [...alike.accounts].some((account) => !entry.accounts.has(account));
        left -= further ? 1 + alike.entries.length : 1;
        if (left < 0) return undefined;
        if (further) others.push(...alike.entries);
      }
    }
    found.set(
      entry,
      others.sort((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0)),
    );
  }
  return found;
}

/** By the set of accounts: what all matches of one target have in common is written once. Sorted. */
export function byAccounts(entries: readonly Guarded[]): readonly Alike[] {
  const groups = new Map<string, Alike>();
  for (const entry of entries) put(groups, entry);
  return [...groups].sort(([a], [b]) => compareText(a, b)).map(([, group]) => group);
}

function byBeginning(entries: readonly Guarded[]): Map<string, Map<string, Alike>> {
  const groups = new Map<string, Map<string, Alike>>();
  for (const entry of entries) {
    const beginning = pathBeginning(entry.match.pathRegex);
    const alike = groups.get(beginning) ?? new Map<string, Alike>();
    groups.set(beginning, alike);
    put(alike, entry);
  }
  return groups;
}

const keys = new WeakMap<ReadonlySet<AccountKey>, string>();

/** Equal for equal sets. Most are the very same one, that of their target. */
function keyOf(accounts: ReadonlySet<AccountKey>): string {
  const known = keys.get(accounts);
  if (known !== undefined) return known;
  const key = sortedSet(accounts).join(' ');
  keys.set(accounts, key);
  return key;
}

function put(groups: Map<string, Alike>, entry: Guarded): void {
  const key = keyOf(entry.accounts);
  const group = groups.get(key) ?? { accounts: entry.accounts, entries: [] };
  groups.set(key, group);
  group.entries.push(entry);
}

/** Beginnings of this one, itself, and those that begin with it. All others differ from it somewhere. */
function* related(
  beginning: string,
  known: { has(beginning: string): boolean },
  sorted: readonly string[],
): Iterable<string> {
  for (let length = 0; length < beginning.length; length += 1) {
    const shorter = beginning.slice(0, length);
    if (known.has(shorter)) yield shorter;
  }
  for (let index = firstNotBelow(sorted, beginning); sorted[index]?.startsWith(beginning) === true; index += 1) {
    yield sorted[index] ?? '';
  }
}

function firstNotBelow(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return low;
}
