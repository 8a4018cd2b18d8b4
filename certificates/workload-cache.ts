/**
 * One certificate an identity, however many sidecars of it are connected: issued once, renewed before its time,
 * forgotten with the last subscriber.
 *
 * Renewal looks at the wall clock every second instead of setting a timer for the due time: a timer counts time that
 * passed, and after a clock jump or a suspended machine the certificate would expire before its timer fires.
 */
import { type Clock, systemClock } from './clock.ts';
import type { Issuer } from './issuer.ts';
import type { Account, WorkloadCertificate } from './leaf.ts';
import { isDue, type Renewal } from './renewal.ts';

export interface WorkloadCacheOptions {
  readonly issuer: Issuer;
  readonly clock?: Clock;
  /** In [0, 1). */
  readonly random?: () => number;
  /** Issues under way at once; 8 by default: an external issuer must not drown when a replica starts. */
  readonly concurrency?: number;
  /** For logs, metrics and status. */
  readonly onEvent?: (event: WorkloadCacheEvent) => void;
}

export type WorkloadCacheEvent =
  | { readonly name: 'issued'; readonly account: Account; readonly certificate: WorkloadCertificate }
  | {
      readonly name: 'issue-failed';
      readonly account: Account;
      readonly error: unknown;
      /** In a row, this one included. */
      readonly failures: number;
      /** Milliseconds since 1970; undefined when there is no certificate at all. */
      readonly expiresAt: number | undefined;
    }
  /** It takes long, and goes on; what it waits for may change. */
  | { readonly name: 'issue-waits'; readonly account: Account; readonly error: unknown }
  | { readonly name: 'listener-failed'; readonly account: Account; readonly error: unknown };

export interface WorkloadCache {
  /**
   * Holds an identity's certificate: the listener gets it as soon as it is there (always after this call returned), and
   * each later one. The returned function lets go of it.
   */
  subscribe(account: Account, listener: (certificate: WorkloadCertificate) => void): () => void;
  /** The certificate at hand, also when it has expired meanwhile: it is up to peers to refuse it. */
  current(account: Account): WorkloadCertificate | undefined;
  /** Uses another issuer from now on and issues everything anew; the old certificates stay until then. */
  useIssuer(issuer: Issuer): void;
  /** Identities that somebody holds. */
  readonly size: number;
  /** When the first of the certificates at hand expires, in milliseconds since 1970; undefined when there is none. */
  earliestExpiry(): number | undefined;
  /** Identities whose last try failed or takes long, with one of their errors and the first end of what they hold. */
  failing(): Failing | undefined;
  /** The certificates at hand, one an identity. */
  inUse(): WorkloadCertificate[];
  stop(): void;
}

export interface Failing {
  readonly accounts: number;
  readonly error: unknown;
  /** Milliseconds since 1970; undefined when one of them holds no certificate at all. */
  readonly expiresAt: number | undefined;
}

interface Entry {
  readonly account: Account;
  readonly listeners: Set<(certificate: WorkloadCertificate) => void>;
  certificate: WorkloadCertificate | undefined;
  renewal: Renewal | undefined;
  /** Queued or under way: the single flight. */
  pending: boolean;
  /** The issuer that made the certificate; another one in use makes it due. */
  issuer: Issuer | undefined;
  failures: number;
  /** Of the last try, while that failed; of the one under way, when it takes long. */
  error: unknown;
  /** Milliseconds since 1970 before which no other try is made. */
  notUntil: number;
}

const lookEveryMs = 1_000;
const firstRetryMs = 1_000;
const longestRetryMs = 30_000;

export function createWorkloadCache(options: WorkloadCacheOptions): WorkloadCache {
  const { clock = systemClock, random = Math.random, concurrency = 8 } = options;
  let issuer = options.issuer;
  let stopped = false;
  let underWay = 0;
  const entries = new Map<string, Entry>();
  const waiting: Entry[] = [];

  function report(event: WorkloadCacheEvent): void {
    try {
      options.onEvent?.(event);
    } catch {
      // Whoever counts or logs must not be able to stop renewals; there is nobody else to tell.
    }
  }

  function needsIssue(entry: Entry, now: number): boolean {
    if (entry.pending) return false;
    // A clock that was set back would put the next try far off: no wait is longer than the longest.
    if (now < entry.notUntil && entry.notUntil - now <= longestRetryMs) return false;
    return entry.renewal === undefined || entry.issuer !== issuer || isDue(entry.renewal, now);
  }

  function enqueue(entry: Entry): void {
    entry.pending = true;
    waiting.push(entry);
    drain();
  }

  function drain(): void {
    while (!stopped && underWay < concurrency) {
      const entry = waiting.shift();
      if (entry === undefined) return;
      if (!isHeld(entry)) continue;
      underWay++;
      void issue(entry).finally(() => {
        underWay--;
        drain();
      });
    }
  }

  async function issue(entry: Entry): Promise<void> {
    const used = issuer;
    try {
      const certificate = await used.issueWorkload(entry.account, (error) => {
        if (stopped || !isHeld(entry)) return;
        entry.error = error;
        report({ name: 'issue-waits', account: entry.account, error });
      });
      entry.pending = false;
      if (stopped || !isHeld(entry)) return;
      const { notBefore, notAfter } = certificate;
      entry.certificate = certificate;
      entry.renewal = { issuedAt: clock.now(), notBefore, notAfter, spread: random() };
      entry.issuer = used;
      forgive(entry);
      report({ name: 'issued', account: entry.account, certificate });
      for (const listener of [...entry.listeners]) tell(entry, listener, certificate);
      if (used !== issuer) enqueue(entry); // changed while this one was being made
    } catch (error) {
      entry.pending = false;
      if (stopped || !isHeld(entry)) return;
      if (used !== issuer) {
        forgive(entry); // who is used no more may well end what is under way
        return enqueue(entry);
      }
      entry.failures++;
      entry.error = error;
      const wait = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(entry.failures - 1, 10));
      entry.notUntil = clock.now() + wait * (0.5 + random() / 2);
      const { account, failures, certificate } = entry;
      report({ name: 'issue-failed', account, error, failures, expiresAt: certificate?.notAfter });
    }
  }

  function isHeld(entry: Entry): boolean {
    return entries.get(keyOf(entry.account)) === entry;
  }

  function tell(entry: Entry, listener: (certificate: WorkloadCertificate) => void, value: WorkloadCertificate): void {
    try {
      listener(value);
    } catch (error) {
      report({ name: 'listener-failed', account: entry.account, error });
    }
  }

  function lookThrough(): void {
    const now = clock.now();
    for (const entry of entries.values()) if (needsIssue(entry, now)) enqueue(entry);
  }
  const stopLooking = clock.every(lookEveryMs, lookThrough);

  return {
    subscribe(account, listener) {
      const key = keyOf(account);
      let entry = entries.get(key);
      if (entry === undefined) {
        entry = newEntry(account);
        entries.set(key, entry);
        enqueue(entry);
      }
      const held = entry;
      const own = (certificate: WorkloadCertificate): void => listener(certificate);
      held.listeners.add(own);
      const had = held.certificate;
      if (had !== undefined) {
        queueMicrotask(() => {
          // When another one came in between, that one's turn has told this listener.
          if (held.listeners.has(own) && held.certificate === had) tell(held, own, had);
        });
      }
      return () => {
        held.listeners.delete(own);
        if (held.listeners.size === 0 && isHeld(held)) entries.delete(key);
      };
    },
    current: (account) => entries.get(keyOf(account))?.certificate,
    useIssuer(next) {
      issuer = next;
      for (const entry of entries.values()) if (!entry.pending) forgive(entry);
      lookThrough();
    },
    get size() {
      return entries.size;
    },
    earliestExpiry() {
      let earliest: number | undefined;
      for (const { certificate } of entries.values()) {
        if (certificate !== undefined && certificate.notAfter < (earliest ?? Number.POSITIVE_INFINITY)) {
          earliest = certificate.notAfter;
        }
      }
      return earliest;
    },
    failing() {
      const failed = [...entries.values()].filter(({ error }) => error !== undefined);
      const [first] = failed;
      if (first === undefined) return undefined;
      const ends = failed.map(({ certificate }) => certificate?.notAfter ?? Number.NEGATIVE_INFINITY);
      const expiresAt = ends.reduce((a, b) => Math.min(a, b));
      return {
        accounts: failed.length,
        error: first.error,
        expiresAt: Number.isFinite(expiresAt) ? expiresAt : undefined,
      };
    },
    inUse: () => [...entries.values()].flatMap(({ certificate }) => certificate ?? []),
    stop() {
      stopped = true;
      stopLooking();
      entries.clear();
      waiting.length = 0;
    },
  };
}

/** What went wrong before says nothing of the next try. */
function forgive(entry: Entry): void {
  entry.failures = 0;
  entry.error = undefined;
  entry.notUntil = 0;
}

function newEntry(account: Account): Entry {
  return {
    account,
    listeners: new Set(),
    certificate: undefined,
    renewal: undefined,
    pending: false,
    issuer: undefined,
    failures: 0,
    error: undefined,
    notUntil: 0,
  };
}

function keyOf({ namespace, name }: Account): string {
  return `${namespace}/${name}`;
}
