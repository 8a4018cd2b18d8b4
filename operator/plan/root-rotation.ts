/**
 * How the built-in workload root is replaced while no sidecar ever meets a certificate that it does not trust. Two roots stand
 * in the Secret and are given to sidecars: the one that signs, and one that stands by; one of them is wanted in the end.
 *
 *     begin: a new root stands by, and is the wanted one
 *       → every sidecar has acknowledged it → switch: the two change places
 *       → no live certificate leads to the one that stands by → retire: it is taken out
 *
 * Taking back is wanting the other one; what follows is the same two steps, so it is possible until the last of them.
 *
 * Replicas of the controller say what their sidecars acknowledged and need. A sidecar without a stream is in no report; it is given
 * all that is trusted when it connects again. So what a step waits for must be so at two moments that are farther apart than that takes.
 * What was reached stands in the Secret: an operator that dies between any two steps goes on from there.
 */
import { workloadRootSecretName } from '#cdk8s/names.ts';
import { durationMs } from '#crds/duration.ts';
import type { MeshConfigSpec } from '#crds/types.ts';
import { renewalTime } from './certificates.ts';
import type { Observed, ObservedAuthority, ObservedRootWalk, ObservedStandby, RootReport } from './observed.ts';
import type { RootMove, Step } from './plan-types.ts';

/** Envoy tries to reach its controller again after half a minute at most. */
export const defaultRootWaits: Observed['rootWaits'] = { switchMs: 120_000, retireMs: 600_000 };

/** The value of the annotation that takes back what is under way. */
export const takeBack = 'back';

export type RotationSettings = MeshConfigSpec['certificate']['rotation'];

/** Where a rotation stands. `behind`: replicas that the next step waits for, with the reason. Times are milliseconds since the epoch. */
export type RootRotation =
  | { readonly step: 'none' }
  /** The wanted root stands by, and is being given to sidecars. */
  | { readonly step: 'adding'; readonly behind: readonly string[] }
  | { readonly step: 'waiting'; readonly switchAt: number }
  /** The wanted root signs. `retireAt`: undefined while replicas are behind. */
  | { readonly step: 'retiring'; readonly behind: readonly string[]; readonly retireAt: number | undefined };

export const rootRotationSteps = [
  'none',
  'adding',
  'waiting',
  'retiring',
] as const satisfies readonly RootRotation['step'][];

export function rootRotationOf(observed: Observed): RootRotation {
  const { workloadRoot, now, rootWaits, controllers } = observed;
  if (workloadRoot.kind !== 'present' || workloadRoot.walk.standby === undefined) return { step: 'none' };
  const { authority, walk } = workloadRoot;
  const { standby } = workloadRoot.walk;
  // A time to come was written under a wrong clock, and says nothing.
  const readySince = walk.readySince === undefined || walk.readySince > now ? undefined : walk.readySince;
  if (isWanted(standby, walk, now)) {
    const behind = behindWith(controllers, (report) => lacking(report, standby.fingerprint));
    if (readySince === undefined || behind.length > 0) return { step: 'adding', behind };
    // One that was made under a clock ahead is no use before its time.
    return { step: 'waiting', switchAt: Math.max(readySince + rootWaits.switchMs, standby.notBefore) };
  }
  const behind = behindWith(controllers, (report) => needing(report, authority, standby));
  const retireAt = readySince === undefined || behind.length > 0 ? undefined : readySince + rootWaits.retireMs;
  return { step: 'retiring', behind, retireAt };
}

/** Whether the root that stands by is to sign. A user's own CA, put in place meanwhile, is not replaced by it. */
function isWanted(standby: ObservedStandby, { ours, rotatingTo }: ObservedRootWalk, now: number): boolean {
  return ours && rotatingTo === standby.fingerprint && standby.hasKey && standby.notAfter > now;
}

/** The change of the root's Secret that is due now, if one is. */
export function rootStep(settings: RotationSettings, observed: Observed): Step | undefined {
  const { workloadRoot } = observed;
  if (workloadRoot.kind !== 'present' || settings?.paused === true || signersElsewhere(observed).length > 0) {
    return undefined;
  }
  const due = dueMove(settings, observed, workloadRoot);
  return due && { kind: 'rotate-root', ...due, resourceVersion: workloadRoot.authority.resourceVersion };
}

interface Due {
  readonly move: RootMove;
  readonly reason: string;
}

type Present = Extract<Observed['workloadRoot'], { kind: 'present' }>;

function dueMove(settings: RotationSettings, observed: Observed, root: Present): Due | undefined {
  const { walk } = root;
  if (walk.standby === undefined) return beginning(settings, observed, root);
  const turned = turning(observed, root, walk.standby);
  if (turned !== undefined) return turned;
  if (observed.controllers === undefined) return undefined;
  const { now } = observed;
  const state = rootRotationOf(observed);
  switch (state.step) {
    case 'none':
      return undefined;
    case 'adding':
      if (state.behind.length > 0) return undefined;
      return { move: { kind: 'ready' }, reason: 'root-acknowledged' };
    case 'waiting':
      return now >= state.switchAt ? { move: { kind: 'switch' }, reason: 'root-trusted' } : undefined;
    case 'retiring':
      if (state.behind.length > 0) return undefined;
      if (state.retireAt === undefined) return { move: { kind: 'ready' }, reason: 'root-unneeded' };
      return now >= state.retireAt ? { move: { kind: 'retire' }, reason: 'root-unused' } : undefined;
  }
}

function beginning(settings: RotationSettings, observed: Observed, { authority, walk }: Present): Due | undefined {
  const { rootRequest: request, now } = observed;
  if (!walk.ours || request === takeBack) return undefined;
  if (request !== undefined && request !== authority.request) {
    return { move: { kind: 'begin', request }, reason: 'root-requested' };
  }
  const beginsAt = rootDueAt(settings, authority);
  if (beginsAt === undefined || now < beginsAt) return undefined;
  // What was asked for before stays answered; what was taken back is over.
  const answered = authority.request === takeBack ? undefined : authority.request;
  return { move: { kind: 'begin', request: answered }, reason: 'root-due' };
}

function turning(observed: Observed, { authority, walk }: Present, standby: ObservedStandby): Due | undefined {
  const { rootRequest: request, now } = observed;
  if (request === undefined || (request === takeBack) === (authority.request === takeBack)) return undefined;
  const to = isWanted(standby, walk, now) ? authority.fingerprint : standby.fingerprint;
  const reason = request === takeBack ? 'root-taken-back' : 'root-requested-again';
  return { move: { kind: 'turn', to, request }, reason };
}

/** When the operator replaces the root unasked; undefined when it does not. No interval lets a root come near its end. */
export function rootDueAt(settings: RotationSettings, authority: ObservedAuthority): number | undefined {
  if (settings === undefined) return undefined;
  const interval = settings.interval === undefined ? undefined : durationMs(settings.interval);
  return Math.min(renewalTime(authority), authority.notBefore + (interval ?? Number.POSITIVE_INFINITY));
}

/** MeshRootCertificates by which others sign than the built-in root. */
export function signersElsewhere({ rootCertificates }: Observed): string[] {
  return rootCertificates
    .filter(({ role, authority }) => role === 'active' && authority !== workloadRootSecretName)
    .map(({ name }) => name)
    .toSorted();
}

/** Whether the controllers must be asked: while there are two roots. */
export function mustAskControllers({ workloadRoot }: Observed): boolean {
  return workloadRoot.kind === 'present' && workloadRoot.walk.standby !== undefined;
}

/** None when nobody was asked. */
function behindWith(
  controllers: Observed['controllers'],
  lacks: (report: RootReport) => string | undefined,
): readonly string[] {
  if (controllers === undefined) return [];
  if (controllers.length === 0) return ['osm-controller (no pod runs)'];
  return controllers.flatMap(({ pod, report }) => {
    const why = report === undefined ? 'it reports nothing' : lacks(report);
    return why === undefined ? [] : [`${pod} (${why})`];
  });
}

/** Why sidecars of a replica cannot be shown certificates of this root yet. */
function lacking({ given, acknowledged, behindNamed }: RootReport, root: string): string | undefined {
  if (!given.includes(root)) return 'it has not given it to its sidecars yet';
  if (acknowledged.includes(root)) return undefined;
  return behindNamed.length === 0
    ? 'its sidecars have not acknowledged it'
    : `not acknowledged by ${behindNamed.join(', ')}`;
}

/** Why a replica needs the root that stands by. */
function needing(report: RootReport, { fingerprint }: ObservedAuthority, standby: ObservedStandby): string | undefined {
  if (report.signing !== fingerprint) return 'it does not sign by the other root yet';
  if (report.needed.includes(standby.fingerprint)) return 'certificates in use lead to it';
  return lacking(report, fingerprint) === undefined ? undefined : 'its sidecars have not acknowledged the other root';
}

/** Milliseconds until the rotation must be looked at again, if nothing changes before. */
export function timeToRootRotation(settings: RotationSettings, observed: Observed): number | undefined {
  const { workloadRoot, now, waits } = observed;
  if (workloadRoot.kind !== 'present' || settings?.paused === true) return undefined;
  if (workloadRoot.walk.standby !== undefined) return waits.askMs;
  const beginsAt = workloadRoot.walk.ours ? rootDueAt(settings, workloadRoot.authority) : undefined;
  return beginsAt === undefined || observed.rootRequest === takeBack || signersElsewhere(observed).length > 0
    ? undefined
    : beginsAt - now;
}
