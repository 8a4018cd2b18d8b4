/**
 * Who signs the certificates of identities with connected sidecars, and what their peers trust. Level-triggered: each look
 * compares what the MeshRootCertificates ask for with what is given out, and takes the next step towards it.
 *
 *     trust widens → sidecars have it → the new provider signs → all certificates are new → trust narrows
 *
 * Nothing but the two secrets of a sidecar changes by that, and a choice that is taken back half-way is the same walk again.
 * Each replica walks by itself, and looks at what the others report before a certificate leads to a new root (`spread.ts`),
 * and before a root is taken away (`needed.ts`).
 */
import type { Choice, LastChoice, Source } from '#certificates/choice.ts';
import type { CertificateState, Trouble } from '#certificates/facts.ts';
import type { KeyType } from '#certificates/keys.ts';
import type { Wanted } from '#certificates/providers/provider.ts';
import type { ReplicaReport } from '#certificates/replica-report.ts';
import { covers, mergeTrust, noTrust, sameTrust, type Trust } from '#certificates/trust.ts';
import type { AccountKey } from '#mesh/identity.ts';
import type { ResourceMap } from '#xds/cache/snapshot.ts';
import { type CertificateSource, createCertificateSource, type SourceOptions } from './certificate-source.ts';
import { createNeeded } from './needed.ts';
import { reportOf } from './own-report.ts';
import { createSigning, type CurrentSigner, type SigningOptions } from './signing.ts';
import { createSpread, type Holder, type Replica, type Sidecars, type SpreadTiming, type Wait } from './spread.ts';

export interface CertificateSettings {
  readonly certificateLifetimeMs: number;
  readonly keyType: KeyType;
}

export interface WorkloadCaOptions
  extends Pick<SourceOptions, 'provide' | 'throwAway' | 'remember' | 'now'>,
    Pick<SigningOptions, 'onEvent' | 'onSigning'> {
  /** Undefined while the objects that it is made from are not all known. */
  readonly choice: () => Choice | undefined;
  /** Of the MeshConfig; undefined while there is none. */
  readonly settings: () => CertificateSettings | undefined;
  /** Who signed last, and who was trusted, as far as replicas and MeshRootCertificates tell: a walk goes on from there. */
  readonly last: () => LastChoice;
  /** Of this pod. */
  readonly podName: string;
  /** Those that are connected, and who of them has yet to acknowledge what is given. */
  readonly sidecars: (given: Trust) => Sidecars;
  readonly others: () => readonly Replica[];
  /** After each look. */
  readonly onReport: (report: ReplicaReport, neededRoots: Trust) => void;
  /** Sidecars are given other roots, to be known by their trust domains. */
  readonly onTrust?: (trust: Trust) => void;
  readonly onError: (error: unknown) => void;
  /** Milliseconds of a clock that only time moves: what a step waits for is reckoned by it, and what is told by `now`. */
  readonly elapsed: () => number;
  readonly timing?: Partial<WorkloadCaTiming>;
}

export interface WorkloadCaTiming extends SpreadTiming {
  /** Milliseconds between two looks, before there is an issuer or while something is due, and after. */
  readonly missingMs: number;
  readonly foundMs: number;
  /**
   * How long roots stay when no replica needs them any more: a sidecar without a stream shows its former certificate until it
   * has found a controller, and another replica may not have seen yet that the choice is another.
   */
  readonly lingerMs: number;
}

const defaults: WorkloadCaTiming = {
  missingMs: 1_000,
  foundMs: 15_000,
  spreadMs: 5_000,
  longestSpreadMs: 90_000,
  reconnectMs: 30_000,
  lingerMs: 30_000,
};

/** Where the walk stands, as this replica sees it. */
export interface Walk {
  readonly given: Trust;
  /** As much of it as the MeshRootCertificates in use ask for. */
  readonly wanted: Trust;
  readonly report: ReplicaReport;
  /** What keeps certificates from leading to these roots; undefined when nothing does. */
  readonly waitFor: (roots: Trust) => Wait | undefined;
  /** Who has not acknowledged them, whether or not that is still waited for. */
  readonly holders: (roots: Trust) => readonly Holder[];
  /** When roots that nobody needs are trusted no more; undefined while somebody needs all. */
  readonly narrowsAt: number | undefined;
  /** Roots of the source of a MeshRootCertificate in use, by its UID. */
  readonly rootsOf: (uid: string) => Trust | undefined;
}

type Chosen = Extract<Choice, { kind: 'chosen' }>;

export interface WorkloadCa {
  start(): void;
  stop(): void;
  /** The MeshRootCertificates changed: do not wait for the next look. */
  lookNow(): void;
  readonly loaded: boolean;
  state(): CertificateState;
  walk(): Walk;
  /** Undefined while nobody signs. */
  signer(): CurrentSigner | undefined;
  /** The secrets of an account, as soon as there is a CA and whenever they change. */
  subscribe(account: AccountKey, onSecrets: (secrets: ResourceMap) => void): () => void;
}

export function createWorkloadCa(options: WorkloadCaOptions): WorkloadCa {
  const { now, elapsed } = options;
  const timing = { ...defaults, ...options.timing };
  const sources = new Map<string, CertificateSource>();
  const trustListeners = new Set<() => void>();
  const spread = createSpread({ podName: options.podName, now, elapsed, timing });
  const needed = createNeeded({ now, elapsed, longestMs: timing.longestSpreadMs });
  let validating: readonly CertificateSource[] = [];
  let choiceProblem: Trouble | undefined;
  /** The last choice that could be followed: it stays in force while another cannot be. */
  let inForce: Chosen | undefined;
  /** What sidecars are given. */
  let trust: Trust = noTrust;
  /** What is given and wanted by nobody; since when. */
  let extra: { readonly wanted: Trust; readonly since: number; readonly elapsed: number } | undefined;
  let report = reportOf({
    ...{ given: noTrust, acknowledged: noTrust, needed: noTrust, signer: undefined, signing: undefined },
    sidecars: { connected: 0, behind: [] },
  });
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let again = false;
  let stopped = false;

  const wanted = (trustDomain: string): Wanted => {
    const settings = options.settings();
    if (settings === undefined) throw new Error('no MeshConfig is known');
    return { trustDomain, lifetimeMs: settings.certificateLifetimeMs, keyType: settings.keyType };
  };

  const signing = createSigning({
    ...{ wanted, now, onEvent: options.onEvent, onSigning: options.onSigning },
    isSpread: (roots) => covers(spread.roots, roots),
    trust: {
      current: () => trust,
      subscribe(listener) {
        trustListeners.add(listener);
        return () => trustListeners.delete(listener);
      },
    },
  });

  function give(next: Trust): void {
    if (sameTrust(trust, next)) return;
    trust = next;
    options.onTrust?.(trust);
    for (const listener of [...trustListeners]) listener();
  }

  async function sourceOf(source: Source): Promise<CertificateSource> {
    const key = keyOf(source);
    const known = sources.get(key) ?? createCertificateSource(source, { ...options, wanted, changed: lookNow });
    sources.set(key, known);
    await known.refresh(source);
    return known;
  }

  async function follow({ signing: chosen, validating: all }: Chosen): Promise<void> {
    const held = new Set<string>();
    const current: CertificateSource[] = [];
    for (const source of all) {
      if (held.has(keyOf(source))) continue;
      held.add(keyOf(source));
      current.push(await sourceOf(source));
    }
    validating = current;
    // A process that starts in the middle of a walk goes on from where it is: with whoever signed last.
    const last: CertificateSource[] = [];
    if (signing.by === undefined) {
      for (const source of options.last().signing) {
        const former = await sourceOf(source);
        if (former.made !== undefined && former.trust().size > 0) last.push(former);
      }
    }
    const others = options.others();
    const trustOf = (of: readonly CertificateSource[]): Trust[] => of.map((source) => source.trust());
    needed.look(signing.inUse(), options.sidecars(trust).behind.length === 0);
    const target = mergeTrust(
      [...trustOf(validating), ...trustOf(last), needed.roots, ...others.map(({ neededRoots }) => neededRoots)],
      now(),
    );
    give(mergeTrust([trust, target], now()));
    const sidecars = options.sidecars(trust); // after that: who has been given something new has not acknowledged it
    spread.look({ given: trust, sidecars, others });
    if (signing.cache === undefined) spread.begin(last.length === 0 ? undefined : mergeTrust(trustOf(last), now()));
    const signer = sources.get(keyOf(chosen));
    const isSigned = [signer, ...last].some((source) => source !== undefined && signing.use(source));
    // Sidecars of a replica that joins a walk must have the roots before anybody can sign.
    if (!isSigned && others.length > 0 && signer?.made !== undefined && signer.trust().size > 0) signing.begin();
    needed.look(signing.inUse(), sidecars.behind.length === 0);
    narrow(target);
    report = reportOf({
      ...{ given: trust, acknowledged: spread.acknowledged, needed: needed.roots, sidecars },
      ...{ signer: signing.source?.root?.uid, signing: signing.root },
    });
    options.onReport(report, needed.roots);
    for (const [key, source] of sources) {
      // Until another one signs, who signed last is asked for renewals.
      if (held.has(key) || source === signing.by || signing.by === undefined) continue;
      source.close();
      sources.delete(key);
    }
  }

  /** Takes away what no replica needs any more, when that has been so for a while. */
  function narrow(wantedNow: Trust): void {
    if (sameTrust(trust, wantedNow)) {
      extra = undefined;
      return;
    }
    if (extra === undefined || !sameTrust(extra.wanted, wantedNow)) {
      extra = { wanted: wantedNow, since: now(), elapsed: elapsed() };
    }
    if (signing.cache !== undefined && elapsed() - extra.elapsed < timing.lingerMs) return;
    give(wantedNow);
    extra = undefined;
  }

  async function look(): Promise<void> {
    const choice = options.choice();
    if (choice === undefined || options.settings() === undefined) return;
    choiceProblem = choice.kind === 'problem' ? choice : undefined;
    if (choice.kind === 'chosen') inForce = choice;
    inForce ??= chosenLast(options.last());
    if (inForce !== undefined) await follow(inForce);
  }

  function lookNow(): void {
    if (stopped) return;
    again = true;
    if (!looking) void lookAgain();
  }

  async function lookAgain(): Promise<void> {
    looking = true;
    clearTimeout(timer);
    do {
      again = false;
      await look().catch(options.onError);
    } while (again && !stopped);
    looking = false;
    if (stopped) return;
    const due =
      signing.by === undefined ||
      extra !== undefined ||
      needed.isWaiting ||
      !sameTrust(trust, spread.roots) ||
      !sameTrust(trust, spread.acknowledged) ||
      // Where a root stands by, it may be the one that signs at any moment.
      validating.some((source) => source.trouble !== undefined || !sameTrust(source.trust(), source.signs()));
    timer = setTimeout(lookNow, due ? timing.missingMs : timing.foundMs);
  }

  return {
    start: lookNow,
    stop() {
      stopped = true;
      clearTimeout(timer);
      signing.cache?.stop();
      for (const source of sources.values()) source.close();
    },
    lookNow,
    get loaded() {
      return signing.cache !== undefined;
    },
    state: () => ({
      signing: signing.source,
      validating: validating.map(({ source, trouble }) => ({ source, trouble })),
      choiceProblem,
      failing: signing.cache?.failing(),
      earliestExpiry: signing.cache?.earliestExpiry(),
    }),
    walk: () => ({
      given: trust,
      report,
      wanted: mergeTrust(
        validating.map((source) => source.trust()),
        now(),
      ),
      waitFor: (roots) => spread.waitFor(roots),
      holders: (roots) => spread.holders(roots),
      narrowsAt: extra && extra.since + timing.lingerMs,
      rootsOf: (uid) => sources.get(uid)?.trust(),
    }),
    signer: () => signing.current(),
    subscribe: (account, onSecrets) => signing.subscribe(account, onSecrets),
  };
}

/** What was in force before this process; undefined when nobody knows. */
function chosenLast({ signing: known, validating, likely }: LastChoice): Chosen | undefined {
  const signing = known[0] ?? likely;
  return signing && { kind: 'chosen', signing, validating: [signing, ...validating] };
}

/** A MeshRootCertificate stays the same one while its provider is edited: its old roots are needed until all is new. */
function keyOf({ root, provider }: Source): string {
  return root?.uid ?? JSON.stringify(provider);
}
