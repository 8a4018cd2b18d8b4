/**
 * How the control-plane CA is replaced while nothing that trusts it ever meets a certificate that it does not trust:
 *
 *     begin → everything holds both roots → ≥ 1 h → the new CA signs → ≥ 24 h, and every replica serves it → retire
 *
 * Sidecars take trust up from files and acknowledge nothing, so the waits are times; they are far longer than a kubelet needs
 * (about a minute and a half), and than the API server needs for a `caBundle` (design 3.3 asks for 30 s). Both kinds of trust go
 * the same walk: there is one set of roots at any time. What was reached stands in the CA's Secret, nothing is remembered:
 * an operator that dies between any two steps goes on from there.
 */
import { renewalTime } from './certificates.ts';
import { components, type Observed, type ObservedAuthority } from './observed.ts';
import type { RotationMove, Step } from './plan-types.ts';
import { isTrustIncomplete } from './trust.ts';

export const defaultWaits: Observed['waits'] = {
  trustMs: 3_600_000,
  retireMs: 24 * 3_600_000,
  askMs: 10_000,
};

/** Where a rotation stands. Times are milliseconds since the epoch. */
export type CaRotation =
  | { readonly step: 'none'; readonly beginsAt: number }
  /** Something that holds trust does not hold both roots yet. */
  | { readonly step: 'adding' }
  | { readonly step: 'waiting'; readonly switchAt: number }
  /** The new CA signs. `behind`: replicas that were asked and do not serve a certificate of it yet. */
  | { readonly step: 'retiring'; readonly retireAt: number; readonly behind: readonly string[] };

export const rotationSteps = ['none', 'adding', 'waiting', 'retiring'] as const satisfies readonly CaRotation['step'][];

export function rotationOf(authority: ObservedAuthority, observed: Observed): CaRotation {
  const { rotation } = authority;
  const { now, waits } = observed;
  if (rotation === undefined) return { step: 'none', beginsAt: renewalTime(authority) };
  const { trustedSince, switchedAt } = rotation;
  if (switchedAt !== undefined) {
    return { step: 'retiring', retireAt: switchedAt + waits.retireMs, behind: behind(authority, observed) };
  }
  // A time to come was written under a wrong clock, and says nothing.
  if (trustedSince === undefined || trustedSince > now || isTrustIncomplete(authority, observed)) {
    return { step: 'adding' };
  }
  // A CA that was made under a clock ahead is no use before its time.
  return { step: 'waiting', switchAt: Math.max(trustedSince + waits.trustMs, authority.notBefore) };
}

/** The change of the CA's Secret that is due now, if one is. `mayBegin`: a wrong MeshConfig begins nothing new. */
export function rotationStep(authority: ObservedAuthority, observed: Observed, mayBegin: boolean): Step | undefined {
  const due = dueMove(authority, observed, mayBegin);
  if (due === undefined) return undefined;
  const { fingerprint, resourceVersion } = authority;
  return { kind: 'rotate-ca', ...due, ca: fingerprint, resourceVersion };
}

interface Due {
  readonly move: RotationMove;
  readonly reason: string;
}

function dueMove(authority: ObservedAuthority, observed: Observed, mayBegin: boolean): Due | undefined {
  const { rotation } = authority;
  const { now } = observed;
  if (isServedByAnother(authority, observed)) {
    const rootsPem = formerRoots(observed, authority.fingerprint);
    if (rootsPem !== undefined) return { move: { kind: 'keep-former', rootsPem }, reason: 'ca-replaced' };
  }
  if (rotation === undefined) return mayBegin ? beginning(authority, observed) : undefined;
  const { trustedSince, switchedAt } = rotation;
  const state = rotationOf(authority, observed);
  switch (state.step) {
    case 'none':
      return undefined;
    case 'adding':
      if (!isTrustIncomplete(authority, observed)) return { move: { kind: 'trusted' }, reason: 'trust-complete' };
      // Before the repair: were the operator to die between the two, the wait would count time without trust.
      return trustedSince === undefined ? undefined : { move: { kind: 'untrusted' }, reason: 'trust-incomplete' };
    case 'waiting':
      return now >= state.switchAt ? { move: { kind: 'switch' }, reason: 'trust-waited' } : undefined;
    case 'retiring':
      if ((switchedAt ?? 0) > now) return { move: { kind: 'switch' }, reason: 'clock-set-back' };
      if (now < state.retireAt || observed.replicas === undefined || state.behind.length > 0) return undefined;
      return { move: { kind: 'retire' }, reason: 'former-ca-unused' };
  }
}

function beginning(authority: ObservedAuthority, observed: Observed): Due | undefined {
  const { rotationRequest: request, now } = observed;
  if (request !== undefined && request !== authority.request) {
    return { move: { kind: 'begin', request }, reason: 'rotation-requested' };
  }
  // What was asked for before stays answered.
  if (now >= renewalTime(authority)) return { move: { kind: 'begin', request: authority.request }, reason: 'ca-due' };
  return undefined;
}

/** PEM of what is trusted now, without the CA that takes over: what must stay trusted when its Secret was lost or replaced. */
export function formerRoots(observed: Observed, without?: string): string | undefined {
  const served = components.some((component) => isServed(observed, component));
  const roots = observed.trusted.filter(({ fingerprint }) => fingerprint !== without);
  return served && roots.length > 0 ? roots.map(({ pem }) => pem).join('') : undefined;
}

/** Whether a certificate that is still good was signed by a CA that the Secret does not hold (any more). */
function isServedByAnother(authority: ObservedAuthority, observed: Observed): boolean {
  const known = new Set([authority.fingerprint, ...(authority.rotation?.former ?? [])]);
  return components.some(
    (component) => isServed(observed, component) && !known.has(observed.serving[component]?.signer ?? ''),
  );
}

function isServed({ serving, now }: Observed, component: (typeof components)[number]): boolean {
  const certificate = serving[component];
  return certificate?.signer !== undefined && certificate.notAfter > now;
}

/** Whether the replicas must be asked what they serve: once the new CA signs. */
export function mustAskReplicas(observed: Observed): boolean {
  const { controlPlaneCa } = observed;
  return controlPlaneCa.kind === 'present' && controlPlaneCa.authority.rotation?.switchedAt !== undefined;
}

/** Pods that do not serve a certificate of the new CA, and components without any pod; none when nobody was asked. */
function behind(authority: ObservedAuthority, { replicas }: Observed): string[] {
  if (replicas === undefined) return [];
  return components.flatMap((component) => {
    const own = replicas.filter((replica) => replica.component === component);
    if (own.length === 0) return [`${component} (no pod answers)`];
    return own.filter(({ signer }) => signer !== authority.fingerprint).map(({ pod }) => pod);
  });
}

/** Milliseconds until the rotation must be looked at again, if nothing changes before. */
export function timeToRotation(observed: Observed): number | undefined {
  if (observed.controlPlaneCa.kind !== 'present') return undefined;
  const state = rotationOf(observed.controlPlaneCa.authority, observed);
  switch (state.step) {
    case 'none':
      return state.beginsAt - observed.now;
    case 'adding':
      return undefined;
    case 'waiting':
      return state.switchAt - observed.now;
    case 'retiring':
      return state.behind.length > 0 ? observed.waits.askMs : state.retireAt - observed.now;
  }
}
