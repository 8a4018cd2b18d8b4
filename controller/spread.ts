/**
 * How far roots have come: a certificate may lead to one when every sidecar of every replica has acknowledged it. Sidecars of
 * this replica are asked; of the others' it is known what they report (`certificates/replica-report.ts`).
 */
import type { ReplicaReport } from '#certificates/replica-report.ts';
import { covers, filterTrust, mergeTrust, noTrust, printsOf, type Trust } from '#certificates/trust.ts';

/** Connected sidecars of this replica, and those that have not acknowledged what they were given, as `<namespace>/<pod>`. */
export interface Sidecars {
  readonly connected: number;
  readonly behind: readonly string[];
}

/** Another replica that lives, or died a moment ago. */
export interface Replica {
  readonly podName: string;
  readonly report: ReplicaReport;
  /** The roots of `report.needed`, in full. */
  readonly neededRoots: Trust;
}

export interface SpreadTiming {
  /** A sidecar between two streams is counted by nobody, and is back within this time where a controller answers. */
  readonly spreadMs: number;
  /** A sidecar that does not acknowledge holds nobody up for longer than this. */
  readonly longestSpreadMs: number;
  /** After this long every sidecar that had no controller has found one: Envoy's longest wait between two tries. */
  readonly reconnectMs: number;
}

/** A replica whose sidecars have not all acknowledged some root. */
export interface Holder {
  readonly podName: string;
  /** How many, and the first few of them; none where the replica itself has not taken up the root yet. */
  readonly behind: number;
  readonly named: readonly string[];
}

/** What a step waits for; until when at most, in milliseconds since 1970. */
export interface Wait {
  readonly holders: readonly Holder[];
  readonly until: number;
}

export interface Spread {
  /** Takes up what is given now, and to whom it has come. */
  look(now: { readonly given: Trust; readonly sidecars: Sidecars; readonly others: readonly Replica[] }): void;
  /**
   * Before the first certificate of this replica. What all others have acknowledged is spread, and what certificates of theirs
   * lead to already; where there is no other, all is, or no more than `known`, what sidecars are known to trust from before.
   */
  begin(known: Trust | undefined): void;
  /** What certificates may lead to. */
  readonly roots: Trust;
  /** What every sidecar of this replica has acknowledged. */
  readonly acknowledged: Trust;
  /** Undefined when certificates may lead to these roots. */
  waitFor(roots: Trust): Wait | undefined;
  /** Who has not acknowledged them, whether or not that is still waited for. */
  holders(roots: Trust): Holder[];
}

const MOST_NAMED = 3;

/** A moment by the wall clock, to be told, and by one that nobody sets, to be reckoned with. */
interface Moment {
  readonly at: number;
  readonly elapsed: number;
}

export interface SpreadOptions {
  readonly podName: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds of a clock that only time moves: one that is set forward must not make roots pass for acknowledged. */
  readonly elapsed: () => number;
  readonly timing: SpreadTiming;
}

export function createSpread({ podName, now, elapsed, timing }: SpreadOptions): Spread {
  /** Since when a root is given here; the key is its trust domain and fingerprint. */
  let since = new Map<string, Moment>();
  let roots: Trust = noTrust;
  let given: Trust = noTrust;
  let acknowledged: Trust = noTrust;
  let sidecars: Sidecars = { connected: 0, behind: [] };
  let others: readonly Replica[] = [];
  let notBefore = Number.NEGATIVE_INFINITY;

  const thisMoment = (): Moment => ({ at: now(), elapsed: elapsed() });
  const givenSince = (domain: string, root: string): Moment => since.get(`${domain} ${root}`) ?? thisMoment();

  function holdersElsewhere(domain: string, root: string): Holder[] {
    return others
      .filter(({ report }) => report.trustDomains[domain]?.acknowledged.includes(root) !== true)
      .map((other) => ({ podName: other.podName, behind: other.report.behind, named: other.report.behindNamed }));
  }

  function holdersOf(domain: string, root: string): Holder[] {
    const elsewhere = holdersElsewhere(domain, root);
    if (printsOf(acknowledged).get(domain)?.includes(root)) return elsewhere;
    return [{ podName, behind: sidecars.behind.length, named: sidecars.behind.slice(0, MOST_NAMED) }, ...elsewhere];
  }

  /** Each replica once. */
  function holdersOfAll(wanted: Trust): Holder[] {
    const all = rootsIn(wanted).flatMap(([domain, root]) => holdersOf(domain, root));
    return [...new Map(all.map((holder) => [holder.podName, holder])).values()];
  }

  function isSpread(domain: string, root: string): boolean {
    const age = elapsed() - givenSince(domain, root).elapsed;
    if (age >= timing.longestSpreadMs) return true;
    return age >= timing.spreadMs && elapsed() >= notBefore && holdersOf(domain, root).length === 0;
  }

  return {
    look(seen) {
      ({ given, sidecars, others } = seen);
      const keys = rootsIn(given).map(([domain, root]) => `${domain} ${root}`);
      since = new Map(keys.map((key) => [key, since.get(key) ?? thisMoment()]));
      acknowledged = sidecars.behind.length === 0 ? given : within(acknowledged, given);
      const known = printsOf(roots);
      roots = filterTrust(
        given,
        (domain, root) => known.get(domain)?.includes(root) === true || isSpread(domain, root),
      );
    },
    begin(known) {
      if (others.length === 0 && known !== undefined) notBefore = elapsed() + timing.reconnectMs;
      const first = others.length === 0 ? within(known ?? given, given) : given;
      // Of its own sidecars none has had anything from this process.
      const begun = filterTrust(
        first,
        (domain, root) =>
          holdersElsewhere(domain, root).length === 0 ||
          others.some(({ report }) => report.trustDomains[domain]?.needed.includes(root)),
      );
      roots = mergeTrust([roots, begun], now());
    },
    get roots() {
      return roots;
    },
    get acknowledged() {
      return acknowledged;
    },
    waitFor(wanted) {
      if (covers(roots, wanted)) return undefined;
      const known = printsOf(roots);
      const missing = filterTrust(wanted, (domain, root) => known.get(domain)?.includes(root) !== true);
      const from = rootsIn(missing).map(([domain, root]) => givenSince(domain, root).at);
      return { holders: holdersOfAll(missing), until: Math.max(...from) + timing.longestSpreadMs };
    },
    holders: holdersOfAll,
  };
}

function rootsIn(trust: Trust): [domain: string, root: string][] {
  return [...printsOf(trust)].flatMap(([domain, prints]) => prints.map((root): [string, string] => [domain, root]));
}

/** The part of a that is in b too. */
function within(a: Trust, b: Trust): Trust {
  const known = printsOf(b);
  return filterTrust(a, (domain, root) => known.get(domain)?.includes(root) === true);
}
