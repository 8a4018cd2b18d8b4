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
 * Replicas of the controller say what their sidecars acknowledged and need. A sidecar without a stream is in no report, and is told
 * what is new when it connects again. So what a step waits for must be seen without a break for longer than that takes.
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
  const { workloadRoot, now, rootWaits } = observed;
  if (workloadRoot.kind !== 'present' || workloadRoot.walk.standby === undefined) return { step: 'none' };
  const { walk } = workloadRoot;
  const { standby } = workloadRoot.walk;
  const readySince = isSeen(walk.readySince, observed) ? walk.readySince : undefined;
  if (isWanted(standby, walk, now)) {
    const behind = behindWith(observed, (report) => lacking(report, standby.fingerprint));
    if (readySince === undefined || behind.length > 0) return { step: 'adding', behind };
    // One that was made under a clock ahead is no use before its time.
    return { step: 'waiting', switchAt: Math.max(readySince + rootWaits.switchMs, standby.notBefore) };
  }
  const behind = behindWith(observed, (report) => needing(report, walk.signing, standby));
  const retireAt = readySince === undefined || behind.length > 0 ? undefined : readySince + rootWaits.retireMs;
  return { step: 'retiring', behind, retireAt };
}

/** A time to come was written under a wrong clock; since one before this operator began to look, anything may have been. */
function isSeen(readySince: number | undefined, { now, followedSince }: Observed): readySince is number {
  return readySince !== undefined && readySince <= now && readySince >= followedSince;
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
  const isCounting = walk.readySince !== undefined;
  const state = rootRotationOf(observed);
  switch (state.step) {
    case 'none':
      return undefined;
    case 'adding':
      if (state.behind.length === 0) return { move: { kind: 'ready' }, reason: 'root-acknowledged' };
      return isCounting ? { move: { kind: 'unready' }, reason: 'root-not-acknowledged' } : undefined;
    case 'waiting':
      return now >= state.switchAt ? { move: { kind: 'switch' }, reason: 'root-trusted' } : undefined;
    case 'retiring':
      if (state.behind.length > 0) {
        return isCounting ? { move: { kind: 'unready' }, reason: 'root-needed' } : undefined;
      }
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
  { controllers, now, rootWaits }: Observed,
  lacks: (report: RootReport) => string | undefined,
): readonly string[] {
  if (controllers === undefined) return [];
  if (controllers.length === 0) return ['osm-controller (no pod runs)'];
  return controllers.flatMap(({ pod, startedAt, report }) => {
    // After an outage of all, sidecars are still on their way to it, and are in nobody's report.
    const isNew = startedAt !== undefined && now - startedAt < rootWaits.switchMs;
    const why = report === undefined ? 'it reports nothing' : isNew ? 'it has just begun' : lacks(report);
    return why === undefined ? [] : [`${pod} (${why})`];
  });
}

/** Why sidecars of a replica cannot be shown certificates of this root yet. */
function lacking(report: RootReport, root: string): string | undefined {
  if (!report.given.includes(root)) return 'it has not given it to its sidecars yet';
  return report.acknowledged.includes(root) ? undefined : lateSidecars(report);
}

function lateSidecars({ behindNamed }: RootReport): string {
  return `not acknowledged by ${behindNamed.length === 0 ? 'its sidecars' : behindNamed.join(', ')}`;
}

/** Why a replica needs the root that stands by. */
function needing(report: RootReport, signing: string, standby: ObservedStandby): string | undefined {
  if (report.signing !== signing) return 'it does not sign by the other root yet';
  if (report.needed.includes(standby.fingerprint)) return 'certificates in use lead to it';
  // A replica forgets a certificate that was replaced long ago; a sidecar that never took up the new one still shows it.
  return report.behind > 0 ? lateSidecars(report) : lacking(report, signing);
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
