/**
 * Leader election on a coordination.k8s.io Lease. The write's resource version is the lock; whether a holder is still
 * alive is judged by this process's own monotonic clock since it last saw the Lease change. Wall clocks of two machines
 * are never compared.
 */
import { isAlreadyExists, isConflict } from './error.ts';
import { Leases } from './kinds.ts';
import { pause } from './pause.ts';
import type { KubeObject, KubernetesClient } from './types.ts';

export interface LeaderElectionOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly name: string;
  /** Unique among the candidates: the pod's name. */
  readonly identity: string;
  /** Called each time this process becomes the leader. `signal` aborts when it is so no longer: stop writing at once. */
  readonly onStarted: (signal: AbortSignal) => void;
  /** Called when leadership was lost, not when it was given up by `stop`. */
  readonly onLost?: (reason: LossReason) => void;
  /** The failed calls; for logs. */
  readonly onError?: (error: unknown) => void;
  readonly timing?: Partial<LeaseTiming>;
}

/** `renew-deadline`: no renewal succeeded in time. `taken`: somebody else holds the Lease, or removed it. */
export type LossReason = 'renew-deadline' | 'taken';

export interface LeaseTiming {
  /** After this long without a change others may take the Lease; 15,000. Whole seconds. */
  readonly leaseMs: number;
  /** Between two renewals; a third of `leaseMs`. */
  readonly renewMs: number;
  /** A leader that could not renew for this long steps down, before others may begin; two thirds of `leaseMs`. */
  readonly deadlineMs: number;
  /** Between two looks of a candidate; 2,000. */
  readonly retryMs: number;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface LeaderElection {
  readonly isLeader: boolean;
  /** Identity of the holder as last seen; empty when there is none. */
  readonly leader: string;
  /** Steps down, gives the Lease free and resolves when that is done (or has failed). */
  stop(): Promise<void>;
}

interface Lease extends KubeObject {
  spec: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

/** Stands for election until stopped; a leader that loses stands again. */
export function runLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { client, namespace, name, identity } = options;
  const leaseMs = options.timing?.leaseMs ?? 15_000;
  const timing: LeaseTiming = {
    leaseMs,
    renewMs: leaseMs / 3,
    deadlineMs: (leaseMs * 2) / 3,
    retryMs: 2_000,
    random: Math.random,
    ...options.timing,
  };
  const stopping = new AbortController();
  let leading: { term: AbortController; deadline: NodeJS.Timeout } | undefined;
  let observed: { version: string; at: number } | undefined;
  let lease: Lease | undefined;

  function lose(reason: LossReason): void {
    if (leading === undefined) return;
    clearTimeout(leading.deadline);
    const { term } = leading;
    leading = undefined;
    term.abort();
    options.onLost?.(reason);
  }

  /** The Lease is ours as of `askedAt`, the moment before the request: others count from a later one. */
  function hold(askedAt: number): void {
    const left = Math.max(0, askedAt + timing.deadlineMs - performance.now());
    const deadline = setTimeout(() => lose('renew-deadline'), left);
    if (leading !== undefined) {
      clearTimeout(leading.deadline);
      leading.deadline = deadline;
      return;
    }
    const term = new AbortController();
    leading = { term, deadline };
    options.onStarted(term.signal);
  }

  function note(seen: Lease | undefined): void {
    lease = seen;
    const version = seen?.metadata.resourceVersion ?? '';
    if (observed?.version !== version) observed = { version, at: performance.now() };
  }

  /** True when this process holds the Lease after the call. */
  async function acquireOrRenew(): Promise<boolean> {
    const found = await client.get<Lease>(Leases, name, namespace);
    note(found);
    if (found !== undefined && !mayTake(found)) return false;
    const spec = specFor(found?.spec, identity, timing.leaseMs);
    const written =
      found === undefined
        ? client.create<Lease>(Leases, { ...identified(namespace, name), spec })
        : client.replace<Lease>(Leases, { ...found, spec });
    note(await written);
    return true;
  }

  function mayTake({ spec }: Lease): boolean {
    if (!spec.holderIdentity || spec.holderIdentity === identity) return true;
    const silence = performance.now() - (observed?.at ?? performance.now());
    return silence > (spec.leaseDurationSeconds ?? timing.leaseMs / 1_000) * 1_000;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const askedAt = performance.now();
      let failed = false;
      try {
        const held = await acquireOrRenew();
        if (stopping.signal.aborted) return;
        // An answer that came after the deadline proves nothing: others may have begun meanwhile.
        if (!held) lose('taken');
        else if (performance.now() - askedAt < timing.deadlineMs) hold(askedAt);
      } catch (error) {
        failed = true;
        // A lost race is no error: the next look tells who won it.
        if (!isConflict(error) && !isAlreadyExists(error)) options.onError?.(error);
      }
      // A renewal that failed is tried again sooner: the deadline leaves room for more than one.
      const wait = leading === undefined || failed ? Math.min(timing.retryMs, timing.renewMs) : timing.renewMs;
      await pause(wait * (0.9 + 0.2 * timing.random()), stopping.signal);
    }
  }

  const running = run();
  return {
    get isLeader() {
      return leading !== undefined;
    },
    get leader() {
      return lease?.spec.holderIdentity ?? '';
    },
    async stop() {
      const wasLeading = leading !== undefined;
      if (leading !== undefined) {
        clearTimeout(leading.deadline);
        leading.term.abort(); // first, so that nothing is written any more when the Lease is free
        leading = undefined;
      }
      stopping.abort();
      await running;
      if (wasLeading && lease?.spec.holderIdentity === identity) {
        const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 };
        await client.replace<Lease>(Leases, { ...lease, spec }).catch((error: unknown) => options.onError?.(error));
      }
    },
  };
}

function identified(namespace: string, name: string): KubeObject {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name } };
}

function specFor(before: Lease['spec'] | undefined, identity: string, leaseMs: number): Lease['spec'] {
  const now = microTime(Date.now()); // for people who read it; no decision rests on it
  const same = before?.holderIdentity === identity;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.max(1, Math.round(leaseMs / 1_000)),
    acquireTime: same && before.acquireTime ? before.acquireTime : now,
    renewTime: now,
    leaseTransitions: (before?.leaseTransitions ?? 0) + (before === undefined || same ? 0 : 1),
  };
}

/** A metav1.MicroTime: the API server refuses any other number of decimals than six. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
