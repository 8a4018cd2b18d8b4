/**
 * Who signs the certificates of identities with connected sidecars, and what their peers trust. Level-triggered: each look
 * compares what the MeshRootCertificates ask for with what is given out, and takes the next step towards it.
 *
 *     trust widens → sidecars have it → the new provider signs → all certificates are new → trust narrows
 *
 * Nothing but the two secrets of a sidecar changes by that, and a choice that is taken back half-way is the same walk again.
 */
import type { Choice, Source } from '#certificates/choice.ts';
import { CertificateError } from '#certificates/error.ts';
import type { CertificateState, Trouble } from '#certificates/facts.ts';
import type { Issuer } from '#certificates/issuer.ts';
import type { KeyType } from '#certificates/keys.ts';
import type { Wanted } from '#certificates/providers/provider.ts';
import { covers, mergeTrust, noTrust, sameTrust, type Trust } from '#certificates/trust.ts';
import { createWorkloadCache, type WorkloadCache, type WorkloadCacheEvent } from '#certificates/workload-cache.ts';
import type { AccountKey } from '#mesh/identity.ts';
import type { ResourceMap } from '#xds/cache/snapshot.ts';
import { type CertificateSource, createCertificateSource, type SourceOptions } from './certificate-source.ts';
import { secretsFrom } from './secrets.ts';

export interface CertificateSettings {
  readonly certificateLifetimeMs: number;
  readonly keyType: KeyType;
}

export interface WorkloadCaOptions extends Pick<SourceOptions, 'provide' | 'throwAway' | 'remember' | 'now'> {
  /** Undefined while the objects that it is made from are not all known. */
  readonly choice: () => Choice | undefined;
  /** Of the MeshConfig; undefined while there is none. */
  readonly settings: () => CertificateSettings | undefined;
  /** True when every connected sidecar has acknowledged the roots that it was given. */
  readonly rootsAcknowledged: () => boolean;
  readonly onEvent: (event: WorkloadCacheEvent, signing: Source | undefined) => void;
  /** Another provider, trust domain, lifetime or kind of key: everything is issued anew. */
  readonly onSigning: (source: Source) => void;
  /** Sidecars are given other roots, to be known by their trust domains. */
  readonly onTrust?: (trust: Trust) => void;
  readonly onError: (error: unknown) => void;
  readonly timing?: Partial<WorkloadCaTiming>;
}

export interface WorkloadCaTiming {
  /** Milliseconds between two looks, before there is an issuer or while a step is due, and after. */
  readonly missingMs: number;
  readonly foundMs: number;
  /** How long new roots are given to sidecars before a certificate needs them: other replicas look for themselves. */
  readonly spreadMs: number;
  /** A sidecar that does not acknowledge them holds nobody up for longer than this. */
  readonly longestSpreadMs: number;
  /** How long roots stay after the last certificate that needed them was replaced here. */
  readonly lingerMs: number;
}

const defaults: WorkloadCaTiming = {
  missingMs: 1_000,
  foundMs: 15_000,
  spreadMs: 20_000,
  longestSpreadMs: 90_000,
  lingerMs: 60_000,
};

export interface WorkloadCa {
  start(): void;
  stop(): void;
  /** The MeshRootCertificates changed: do not wait for the next look. */
  lookNow(): void;
  readonly loaded: boolean;
  state(): CertificateState;
  /** The secrets of an account, as soon as there is a CA and whenever they change. */
  subscribe(account: AccountKey, onSecrets: (secrets: ResourceMap) => void): () => void;
}

export function createWorkloadCa(options: WorkloadCaOptions): WorkloadCa {
  const { now } = options;
  const timing = { ...defaults, ...options.timing };
  const { promise: first, resolve: setFirst } = Promise.withResolvers<ReturnType<typeof secretsFrom>>();
  const sources = new Map<string, CertificateSource>();
  const trustListeners = new Set<() => void>();
  let validating: readonly CertificateSource[] = [];
  let choiceProblem: Trouble | undefined;
  let signing: Source | undefined;
  let cache: WorkloadCache | undefined;
  let signingKey = '';
  /** What is signed with now: provider, trust domain, lifetime and kind of key. */
  let used = '';
  /** What sidecars are given; since when; and as much of it as they have had for long enough. */
  let trust: Trust = noTrust;
  let trustSince = 0;
  let spread: Trust = noTrust;
  /** Since when nobody needs more than what is wanted now. */
  let enoughSince: number | undefined;
  let tooWide = false;
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let again = false;
  let stopped = false;

  const wanted = (trustDomain: string): Wanted => {
    const settings = options.settings();
    if (settings === undefined) throw new Error('no MeshConfig is known');
    return { trustDomain, lifetimeMs: settings.certificateLifetimeMs, keyType: settings.keyType };
  };

  function give(next: Trust): void {
    if (sameTrust(trust, next)) return;
    trust = next;
    trustSince = now();
    options.onTrust?.(trust);
    for (const listener of [...trustListeners]) listener();
  }

  async function follow({ signing: chosen, validating: all }: Extract<Choice, { kind: 'chosen' }>): Promise<void> {
    const held = new Map(all.map((source) => [keyOf(source), source]));
    for (const [key, source] of held) {
      const known = sources.get(key) ?? createCertificateSource(source, { ...options, wanted, changed: lookNow });
      sources.set(key, known);
      await known.refresh(source);
    }
    validating = [...held.keys()].flatMap((key) => sources.get(key) ?? []);
    const target = mergeTrust(
      validating.map((source) => source.trust()),
      now(),
    );
    give(mergeTrust([trust, target], now()));
    const age = now() - trustSince;
    // Before the first certificate nobody can be cut off; a restarted replica finds the others' roots in place.
    if (
      cache === undefined ||
      age >= timing.longestSpreadMs ||
      (age >= timing.spreadMs && options.rootsAcknowledged())
    ) {
      spread = trust;
    }
    const signer = sources.get(keyOf(chosen));
    const asChosen = signer !== undefined && useSigner(signer);
    narrow(target, asChosen);
    for (const [key, source] of sources) {
      // Until another one signs, who signed last is asked for renewals.
      if (held.has(key) || key === signingKey) continue;
      source.close();
      sources.delete(key);
    }
  }

  /** True when this source signs: from now on, or already. False while sidecars do not trust it yet. */
  function useSigner(source: CertificateSource): boolean {
    const { made } = source;
    const roots = source.trust();
    const { trustDomain } = source.source;
    if (made === undefined || roots.size === 0 || !covers(spread, roots)) return false;
    const { lifetimeMs, keyType } = wanted(trustDomain);
    // The lifetime too: a shorter one is asked for because live certificates last too long, so they are issued anew.
    const identity = JSON.stringify([made.id, trustDomain, lifetimeMs, keyType]);
    signing = source.source;
    signingKey = keyOf(signing);
    if (identity === used) return true;
    used = identity;
    const issuer = issuerOf(source, trustDomain);
    if (cache === undefined) {
      cache = createWorkloadCache({ issuer, onEvent: (event) => options.onEvent(event, signing) });
      setFirst(
        secretsFrom(cache, {
          current: () => trust,
          subscribe(listener) {
            trustListeners.add(listener);
            return () => trustListeners.delete(listener);
          },
        }),
      );
    } else cache.useIssuer(issuer);
    options.onSigning(source.source);
    return true;
  }

  function issuerOf(source: CertificateSource, trustDomain: string): Issuer {
    return {
      async issueWorkload(account) {
        if (source.made === undefined) throw new CertificateError('provider-unreachable', 'The provider is gone');
        const { certificate, rootPem } = await source.made.provider.issue(account, wanted(trustDomain));
        if (!covers(spread, new Map([[trustDomain, rootPem]]))) {
          source.noteRoot(rootPem);
          throw new CertificateError(
            'provider-root-new',
            'The provider signs under a root that sidecars do not trust yet; it is being spread to them, and the next try will do',
          );
        }
        return certificate;
      },
    };
  }

  /** Takes away what nobody needs any more, when that has been so for a while: other replicas come to it later. */
  function narrow(target: Trust, asChosen: boolean): void {
    tooWide = !sameTrust(trust, target);
    if (!tooWide || !asChosen || cache?.settled() !== true) {
      enoughSince = undefined;
      return;
    }
    enoughSince ??= now();
    if (now() - enoughSince < timing.lingerMs) return;
    give(target);
    spread = trust;
    tooWide = false;
  }

  async function look(): Promise<void> {
    const choice = options.choice();
    if (choice === undefined || options.settings() === undefined) return;
    if (choice.kind === 'problem') {
      choiceProblem = choice;
      return;
    }
    choiceProblem = undefined;
    await follow(choice);
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
    const due = cache === undefined || tooWide || !sameTrust(trust, spread);
    timer = setTimeout(lookNow, due ? timing.missingMs : timing.foundMs);
  }

  return {
    start: lookNow,
    stop() {
      stopped = true;
      clearTimeout(timer);
      cache?.stop();
      for (const source of sources.values()) source.close();
    },
    lookNow,
    get loaded() {
      return cache !== undefined;
    },
    state: () => ({
      signing,
      validating: validating.map(({ source, trouble }) => ({ source, trouble })),
      choiceProblem,
      failing: cache?.failing(),
      earliestExpiry: cache?.earliestExpiry(),
    }),
    subscribe(account, onSecrets) {
      let over = false;
      let stop: (() => void) | undefined;
      void first.then((subscribe) => {
        if (!over) stop = subscribe(account, onSecrets);
      });
      return () => {
        over = true;
        stop?.();
      };
    },
  };
}

/** A MeshRootCertificate stays the same one while its provider is edited: its old roots are needed until all is new. */
function keyOf({ root, provider }: Source): string {
  return root?.uid ?? JSON.stringify(provider);
}
