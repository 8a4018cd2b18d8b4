/**
 * `plan`: what the cluster should hold for a MeshConfig, against what it holds. Level-triggered: it knows no former
 * pass, so an operator that starts in the middle of a rollout, of an installation or of a removal goes on from there.
 *
 *     guard armed → authorities → a step of the CA's rotation → serving certificates → a step of the workload root's rotation
 *       → trust → accounts → injector, controller → (injector answers) webhooks → prune
 */
import { controlPlaneObjects } from '#cdk8s/control-plane.ts';
import type { Manifest, Owner } from '#cdk8s/manifest.ts';
import {
  injectorName,
  managedByLabel,
  tlsSecretName,
  trustConfigMapName,
  workloadRootSecretName,
} from '#cdk8s/names.ts';
import { mutatingWebhookName, webhookConfigurations } from '#cdk8s/webhooks.ts';
import type { MeshConfigSpec } from '#crds/types.ts';
import { issueSteps, timeToRenewal } from './certificates.ts';
import { isAvailable, rolloutOf } from './deployments.ts';
import { gatewayRole } from './gateway.ts';
import { components, type DesiredMesh, type Observed, refOf } from './observed.ts';
import type { Plan, Reason, Step } from './plan-types.ts';
import { rootStep, timeToRootRotation } from './root-rotation.ts';
import { formerRoots, rotationStep, timeToRotation } from './rotation.ts';
import { controlPlaneSettings, serviceAccountUid } from './settings.ts';
import { caBundle, trustFor } from './trust.ts';

/** A timer may not be late by more than this after a clock jump. */
const longestWait = 60 * 60 * 1000;
/** What is due and cannot be done yet must not make passes without end. */
const shortestWait = 1000;

export function plan(desired: DesiredMesh, observed: Observed): Plan {
  const { owner } = observed;
  if (owner === undefined) {
    return idle('owner-missing', 'The ClusterRole osm-install is gone, so the installation is being removed.');
  }
  switch (desired.kind) {
    case 'absent':
      return removal(observed);
    case 'invalid':
      return hold(owner, observed);
    case 'valid':
      return run(desired.spec, owner, observed);
  }
}

/** Webhooks first, while an injector still answers them; then the guard lets pods start; then all the rest. */
function removal(observed: Observed): Plan {
  const ranked = observed.managed.toSorted((a, b) => removalRank(a.kind) - removalRank(b.kind));
  const deletions = ranked.map((object): Step => ({ kind: 'delete', object, reason: 'mesh-removed' }));
  const webhooks = ranked.filter((object) => removalRank(object.kind) === 0).length;
  // Armed means that a mesh was here. Never armed: a fresh install, whose guard waits for its first MeshConfig.
  const release: Step[] =
    observed.guard === 'armed' ? [{ kind: 'set-guard', state: 'released', reason: 'mesh-removed' }] : [];
  const steps = [...deletions.slice(0, webhooks), ...release, ...deletions.slice(webhooks)];
  if (steps.length === 0) return idle('no-mesh', 'There is no MeshConfig.');
  return {
    reason: { key: 'removing-mesh', message: 'The MeshConfig is gone: what was made for it is being removed.' },
    steps,
    requeueAfter: undefined,
  };
}

function removalRank(kind: string): number {
  if (kind.endsWith('WebhookConfiguration')) return 0;
  return kind === 'Deployment' ? 1 : 2;
}

/** A wrong MeshConfig changes nothing; what does not depend on it (certificates, trust) is kept going. */
function hold(owner: Owner, observed: Observed): Plan {
  const reason: Reason = {
    key: 'invalid-mesh-config',
    message: 'The MeshConfig is wrong: the mesh stays as it is until that is mended.',
  };
  const meshName = observed.managed.find((object) => object.kind === 'Deployment')?.metadata.labels?.[managedByLabel];
  if (meshName === undefined || observed.controlPlaneCa.kind !== 'present') {
    return { reason, steps: [], requeueAfter: undefined };
  }
  const { authority } = observed.controlPlaneCa;
  const rotation = rotationStep(authority, observed, false);
  if (isKeepingFormer(rotation)) return { reason, steps: [rotation], requeueAfter: undefined };
  const trust = trustFor(meshName, owner, observed, authority);
  const wanted = new Set(trust.map(refOf));
  const stale = observed.managed.filter(
    (object) => object.metadata.name === trustConfigMapName && !wanted.has(refOf(object)),
  );
  return {
    reason,
    steps: [
      ...certificateSteps(rotation, () => issueSteps(authority, meshName, observed)),
      ...trust.map((object): Step => ({ kind: 'apply', object, reason: 'trust' })),
      ...stale.map((object): Step => ({ kind: 'delete', object, reason: 'namespace-left' })),
    ],
    requeueAfter: nextPass(observed),
  };
}

function run(spec: MeshConfigSpec, owner: Owner, observed: Observed): Plan {
  const guard: Step[] =
    observed.guard === 'armed' ? [] : [{ kind: 'set-guard', state: 'armed', reason: 'mesh-configured' }];
  const authorities = authoritySteps(observed);
  if (observed.controlPlaneCa.kind !== 'present' || observed.workloadRoot.kind !== 'present') {
    return { reason: authoritiesReason(observed), steps: [...guard, ...authorities], requeueAfter: undefined };
  }
  const { authority } = observed.controlPlaneCa;
  const rotation = rotationStep(authority, observed, true);
  if (isKeepingFormer(rotation)) {
    const message = 'Another control-plane CA was put in place: what it takes over from stays trusted for its time.';
    return {
      reason: { key: 'keeping-former-authority', message },
      steps: [...guard, rotation],
      requeueAfter: undefined,
    };
  }
  const rootRotation = rootStep(spec.certificate.rotation, observed);
  const settings = controlPlaneSettings(spec, owner, observed);
  const workloads = controlPlaneObjects(settings);
  const trust = trustFor(spec.meshName, owner, observed, authority);
  const webhooks = mayHaveWebhooks(spec.meshName, observed) ? webhookConfigurations(settings, caBundle(authority)) : [];

  const wanted = new Set([...workloads, ...trust, ...webhooks].map(refOf));
  for (const component of components) wanted.add(`Secret/${observed.namespace}/${tlsSecretName(component)}`);
  const unwanted = observed.managed.filter((object) => !wanted.has(refOf(object)));
  const role = gatewayRole(workloads, observed);
  if (role.former !== undefined) unwanted.push(role.former);
  const ready = workloads.filter(
    (object) => refOf(object) !== role.ref || (role.former === undefined && role.wait === undefined),
  );
  const apply = (objects: readonly Manifest[], reason: string): Step[] =>
    objects.map((object) => ({ kind: 'apply', object, reason }));
  return {
    reason:
      webhooks.length > 0
        ? { key: 'running', message: 'The control plane is applied.' }
        : { key: 'waiting-for-injector', message: 'Webhooks are applied when the injector is available.' },
    steps: [
      ...guard,
      ...certificateSteps(rotation, () => issueSteps(authority, spec.meshName, observed)),
      ...rootSteps(observed),
      ...(rootRotation === undefined ? [] : [rootRotation]),
      ...apply(trust, 'trust'),
      { kind: 'check', objects: ready, reason: 'control-plane' },
      ...apply(
        ready.filter((object) => !waitsForAccount(object, observed)),
        'control-plane',
      ),
      ...apply(webhooks, 'webhooks'),
      ...unwanted.map((object): Step => ({ kind: 'delete', object, reason: 'no-longer-wanted' })),
    ],
    requeueAfter: nextPass(observed, timeToRootRotation(spec.certificate.rotation, observed), role.wait),
  };
}

/** Until the Secret says which roots are trusted beside its CA, nothing may be written that holds fewer. */
function isKeepingFormer(step: Step | undefined): step is Extract<Step, { kind: 'rotate-ca' }> {
  return step?.kind === 'rotate-ca' && step.move.kind === 'keep-former';
}

/** After a step of the rotation the next pass, at once, sees who signs now. */
function certificateSteps(rotation: Step | undefined, issues: () => Step[]): Step[] {
  return rotation === undefined ? issues() : [rotation];
}

/**
 * A Deployment carries the UID of its ServiceAccount, so it follows in the pass after the one that makes the account.
 * Applied before, it would start pods that the next pass replaces.
 */
function waitsForAccount({ kind, metadata }: Manifest, observed: Observed): boolean {
  if (kind !== 'Deployment') return false;
  const component = components.find((name) => name === metadata.name);
  return component !== undefined && serviceAccountUid(component, observed) === undefined;
}

function authoritySteps(observed: Observed): Step[] {
  const steps: Step[] = [];
  if (observed.controlPlaneCa.kind === 'absent') {
    // Where certificates are served, the Secret was deleted: what signed them stays trusted for its time.
    const formerPem = formerRoots(observed);
    const { rotationRequest: request } = observed;
    steps.push({
      kind: 'make-ca',
      ca: 'control-plane',
      ...(formerPem === undefined ? {} : { formerPem }),
      // A new CA answers every request that was made before.
      ...(request === undefined ? {} : { request }),
      reason: formerPem === undefined ? 'authority-missing' : 'authority-lost',
    });
  }
  if (observed.workloadRoot.kind === 'absent') {
    const { rootRequest: request } = observed;
    steps.push({
      kind: 'make-ca',
      ca: 'workload',
      ...(request === undefined ? {} : { request }),
      reason: 'authority-missing',
    });
  }
  return steps;
}

/** Roots that MeshRootCertificates name; the executor looks whether they are there, since we watch no Secret of unknown name. */
function rootSteps({ rootCertificates }: Observed): Step[] {
  const wanted = new Set(rootCertificates.flatMap(({ authority }) => authority ?? []));
  wanted.delete(workloadRootSecretName);
  return [...wanted].toSorted().map((secret) => ({ kind: 'make-root', secret, reason: 'root-named' }));
}

function authoritiesReason(observed: Observed): Reason {
  for (const ca of [observed.controlPlaneCa, observed.workloadRoot]) {
    if (ca.kind === 'unreadable') return { key: 'ca-unreadable', message: ca.message };
  }
  return { key: 'making-authorities', message: 'The certificate authorities are being made.' };
}

/**
 * Webhooks come when the injector answers, and stay when it then goes away: a pod is refused rather than started
 * without its sidecar.
 */
function mayHaveWebhooks(meshName: string, observed: Observed): boolean {
  const present = observed.managed.some(
    (object) =>
      object.kind === 'MutatingWebhookConfiguration' && object.metadata.name === mutatingWebhookName(meshName),
  );
  return present || isAvailable(rolloutOf(injectorName, observed));
}

/** `others`: what is due beside certificates and the control-plane CA, in milliseconds. */
function nextPass(observed: Observed, ...others: readonly (number | undefined)[]): number {
  const waits = [timeToRenewal(observed), timeToRotation(observed), ...others, longestWait];
  return Math.max(shortestWait, Math.min(...waits.filter((wait) => wait !== undefined)));
}

function idle(key: Reason['key'], message: string): Plan {
  return { reason: { key, message }, steps: [], requeueAfter: undefined };
}
