/** What the condition `WorkloadRootRotating` says. Like the control-plane CA's, it leaves the mesh ready all the while. */
import type { DesiredMesh, Observed } from './observed.ts';
import { rootDueAt, type RotationSettings, rootRotationOf, signersElsewhere, takeBack } from './root-rotation.ts';
import { no, time, type Verdict, yes } from './verdict.ts';

export function rootVerdict(desired: DesiredMesh, observed: Observed): Verdict {
  const { workloadRoot } = observed;
  if (workloadRoot.kind !== 'present') return no('NotRotating', 'There is no built-in workload root to rotate.');
  const settings = desired.kind === 'valid' ? desired.spec.certificate.rotation : undefined;
  const { walk, authority } = workloadRoot;
  if (walk.standby === undefined) return restingVerdict(desired, settings, observed, workloadRoot);
  const isBack = authority.request === takeBack;
  const [signs, standsBy] = [short(authority.fingerprint), short(walk.standby.fingerprint)];
  const held = heldBy(desired, settings, observed);
  if (held?.reason === 'NotInUse') {
    return yes(
      held.reason,
      `${held.why}: roots ${signs} and ${standsBy} both stay in their Secret, and the rotation waits.`,
    );
  }
  if (held !== undefined) {
    return yes(held.reason, `${held.why}: root ${signs} signs, ${standsBy} is trusted beside it, and both stay.`);
  }
  const state = rootRotationOf(observed);
  const what = isBack ? 'The rotation is taken back. ' : '';
  switch (state.step) {
    case 'none':
    case 'adding':
      return yes(
        isBack ? 'TakingBack' : 'AddingRoot',
        `${what}Root ${signs} signs; root ${standsBy} is given to sidecars, and takes over when all have acknowledged it${waitingFor(state.step === 'adding' ? state.behind : [])}.`,
      );
    case 'waiting':
      return yes(
        isBack ? 'TakingBack' : 'WaitingToSwitch',
        `${what}Every sidecar has acknowledged root ${standsBy}; it signs from ${time(state.switchAt)} on, instead of ${signs}.`,
      );
    case 'retiring': {
      const until = state.retireAt === undefined ? 'until nobody needs it' : `until ${time(state.retireAt)}`;
      return yes(
        isBack ? 'TakingBack' : 'RetiringFormerRoot',
        `${what}Root ${signs} signs; root ${standsBy} stays trusted ${until}${waitingFor(state.behind)}.`,
      );
    }
  }
}

type Present = Extract<Observed['workloadRoot'], { kind: 'present' }>;

function restingVerdict(
  desired: DesiredMesh,
  settings: RotationSettings,
  observed: Observed,
  { authority, walk }: Present,
): Verdict {
  if (!walk.ours) {
    return no('NotOurs', 'Secret osm-ca-bundle holds a CA that the operator has not made, and so does not replace.');
  }
  const elsewhere = signersElsewhere(observed);
  if (elsewhere.length > 0) {
    return no(
      'NotOurs',
      `Who signs is said by MeshRootCertificate ${elsewhere.join(', ')}, not the built-in root: that is yours to rotate.`,
    );
  }
  const held = heldBy(desired, settings, observed);
  if (held !== undefined) return no(held.reason, `${held.why}: no rotation begins.`);
  if (observed.rootRequest === takeBack) {
    return no('TakenBack', `No rotation begins while the annotation asks for “${takeBack}”.`);
  }
  const beginsAt = rootDueAt(settings, authority);
  const valid = `The built-in root ${short(authority.fingerprint)} is valid until ${time(authority.notAfter)}`;
  return beginsAt === undefined
    ? no('Off', `${valid}; it is replaced when asked for alone, since spec.certificate.rotation is not set.`)
    : no('NotRotating', `${valid}; a new one takes over from ${time(beginsAt)} on, or when asked for.`);
}

/** Why a rotation stands still. */
function heldBy(
  desired: DesiredMesh,
  settings: RotationSettings,
  observed: Observed,
): { readonly reason: string; readonly why: string } | undefined {
  if (desired.kind === 'invalid') return { reason: 'MeshConfigInvalid', why: 'The MeshConfig is wrong' };
  if (settings?.paused === true) return { reason: 'Paused', why: 'spec.certificate.rotation.paused is true' };
  const [first] = signersElsewhere(observed);
  if (first === undefined) return undefined;
  return { reason: 'NotInUse', why: `MeshRootCertificate ${first} says who signs, not the built-in root` };
}

function waitingFor(behind: readonly string[]): string {
  return behind.length === 0 ? '' : `; waiting for ${behind.join(', ')}`;
}

/** Enough of a fingerprint to tell two roots apart by eye. */
function short(fingerprint: string): string {
  return fingerprint.slice(0, 12);
}
