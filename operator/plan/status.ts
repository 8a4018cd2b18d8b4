/**
 * `status`: what a MeshConfig's conditions say of a pass. kstatus reads them as: Stalled=True failed, Reconciling=True
 * in progress, else current; so Ready is always there and Stalled is kept for what only a person can mend.
 */
import { injectorName, ports } from '#cdk8s/names.ts';
import { mutatingWebhookName } from '#cdk8s/webhooks.ts';
import { isAvailable, type Rollout, rolloutOf } from './deployments.ts';
import { type ComponentName, components, type DesiredMesh, type Observed } from './observed.ts';
import type { Plan } from './plan-types.ts';
import { rootVerdict } from './root-status.ts';
import { rotationOf } from './rotation.ts';
import { caBundlesOf, isTrusting } from './trust.ts';
import { no, time, type Verdict, yes } from './verdict.ts';

export const conditionTypes = [
  'Ready',
  'Reconciling',
  'Stalled',
  'Accepted',
  'ControlPlaneAvailable',
  'WebhookTrusted',
  'CertificatesValid',
  'ControlPlaneCARotating',
  'WorkloadRootRotating',
] as const;

/** A metav1 condition without its times and generation, which the shell adds. */
export interface ConditionValue extends Verdict {
  readonly type: (typeof conditionTypes)[number];
}

/** How far the plan's steps came. */
export type Outcome =
  | { readonly kind: 'done' }
  /** The API server refused an object that the MeshConfig's fields went into: a person must act. */
  | { readonly kind: 'rejected'; readonly object: string; readonly message: string }
  /** Anything else: tried again by itself. */
  | { readonly kind: 'failed'; readonly message: string };

/** Where a MeshConfig says how each component runs. */
const fieldOf: Readonly<Record<ComponentName, string>> = {
  'osm-injector': 'spec.controlPlane.injector',
  'osm-controller': 'spec.controlPlane.controller',
};

/** The conditions of a MeshConfig that exists, in the order of `conditionTypes`. */
export function status(desired: DesiredMesh, planned: Plan, observed: Observed, outcome: Outcome): ConditionValue[] {
  const accepted = acceptedVerdict(desired, outcome);
  const certificates = certificatesVerdict(observed);
  const rollouts = components.map((component) => rolloutOf(component, observed));
  const controlPlane = controlPlaneVerdict(rollouts);
  const webhook = webhookVerdict(desired, observed);
  const stalled = stalledVerdict(accepted, planned, rollouts);
  const waiting = [certificates, controlPlane, webhook, rolledOutVerdict(rollouts)].find(
    (verdict) => verdict.status !== 'True',
  );
  const reconciling = reconcilingVerdict(stalled, outcome, waiting);
  const ready = readyVerdict(accepted, stalled, waiting);
  return [
    { type: 'Ready', ...ready },
    { type: 'Reconciling', ...reconciling },
    { type: 'Stalled', ...stalled },
    { type: 'Accepted', ...accepted },
    { type: 'ControlPlaneAvailable', ...controlPlane },
    { type: 'WebhookTrusted', ...webhook },
    { type: 'CertificatesValid', ...certificates },
    { type: 'ControlPlaneCARotating', ...rotationVerdict(observed) },
    { type: 'WorkloadRootRotating', ...rootVerdict(desired, observed) },
  ];
}

function acceptedVerdict(desired: DesiredMesh, outcome: Outcome): Verdict {
  if (desired.kind === 'invalid') {
    const message = desired.errors.map(({ field, message: what }) => `${field}: ${what}`).join('; ');
    return no('InvalidSpec', message);
  }
  if (outcome.kind === 'rejected') {
    const { object, message } = outcome;
    const component = components.find((name) => object.startsWith('Deployment/') && object.endsWith(`/${name}`));
    return no(
      'ObjectRejected',
      component === undefined
        ? `The API server refuses ${object}: ${message}`
        : `${fieldOf[component]}: the API server refuses ${object}, which is made from it: ${message}`,
    );
  }
  return yes('Valid', 'The MeshConfig is valid.');
}

function certificatesVerdict(observed: Observed): Verdict {
  for (const ca of [observed.controlPlaneCa, observed.workloadRoot]) {
    switch (ca.kind) {
      case 'unreadable':
        return no('AuthorityUnreadable', ca.message);
      case 'absent':
        return no('AuthorityMissing', 'A certificate authority is still to be made.');
      case 'present':
        if (ca.authority.notAfter <= observed.now) {
          return no(
            'AuthorityExpired',
            'A certificate authority has expired; see docs/architecture.md for its Secret.',
          );
        }
    }
  }
  const authority = observed.controlPlaneCa.kind === 'present' ? observed.controlPlaneCa.authority : undefined;
  const trusted = [authority?.fingerprint, ...(authority?.rotation?.former ?? [])];
  for (const component of components) {
    const certificate = observed.serving[component];
    if (certificate?.signer === undefined || !trusted.includes(certificate.signer)) {
      return no('ServingCertificateMissing', `${component} has no serving certificate of the control-plane CA yet.`);
    }
    if (certificate.notAfter <= observed.now) {
      return no('ServingCertificateExpired', `The serving certificate of ${component} has expired.`);
    }
  }
  return yes('Valid', 'Authorities and serving certificates are valid.');
}

/** A rotation changes nothing that a user of the mesh must wait for: the mesh stays ready, and this alone tells of it. */
function rotationVerdict(observed: Observed): Verdict {
  if (observed.controlPlaneCa.kind !== 'present') return no('NotRotating', 'There is no control-plane CA to rotate.');
  const { authority } = observed.controlPlaneCa;
  const rotation = rotationOf(authority, observed);
  switch (rotation.step) {
    case 'none':
      return no(
        'NotRotating',
        `The control-plane CA is valid until ${time(authority.notAfter)}; a new one takes over from ${time(rotation.beginsAt)} on, or when asked for.`,
      );
    case 'adding':
      return yes('AddingTrust', 'A new control-plane CA is being added to what sidecars and the API server trust.');
    case 'waiting':
      return yes(
        'WaitingToSwitch',
        `Sidecars and the API server are given the new control-plane CA; it signs from ${time(rotation.switchAt)} on.`,
      );
    case 'retiring': {
      const until = `the former one stays trusted until ${time(rotation.retireAt)}`;
      return rotation.behind.length === 0
        ? yes('RetiringFormerCA', `The new control-plane CA signs; ${until}.`)
        : yes(
            'WaitingForReplicas',
            `The new control-plane CA signs; ${until} and until these serve its certificates: ${rotation.behind.join(', ')}.`,
          );
    }
  }
}

function controlPlaneVerdict(rollouts: readonly Rollout[]): Verdict {
  for (const rollout of rollouts) {
    if (isAvailable(rollout)) continue;
    switch (rollout.kind) {
      case 'absent':
        return no('NotDeployed', 'Injector and controller are still to be deployed.');
      case 'progressing':
      case 'stuck':
        return no('PodsUnavailable', `${rollout.message}.`);
      case 'complete':
    }
  }
  return yes('Available', 'Injector and controller are available.');
}

/** A mesh that works while it rolls out is not ready in the sense of `kubectl wait`: the new version is not there yet. */
function rolledOutVerdict(rollouts: readonly Rollout[]): Verdict {
  const moving = rollouts.find((rollout) => rollout.kind === 'progressing');
  return moving === undefined ? yes('RolledOut', 'Every pod is up to date.') : no('RollingOut', `${moving.message}.`);
}

function webhookVerdict(desired: DesiredMesh, observed: Observed): Verdict {
  const webhook = observed.managed.find(
    (object) =>
      object.kind === 'MutatingWebhookConfiguration' &&
      (desired.kind !== 'valid' || object.metadata.name === mutatingWebhookName(desired.spec.meshName)),
  );
  if (webhook === undefined) {
    return no(
      'WebhookMissing',
      'The webhook is applied when the injector is available; until then the guard refuses pods.',
    );
  }
  const bundles = caBundlesOf(webhook);
  const { controlPlaneCa: ca } = observed;
  if (ca.kind !== 'present' || bundles.length === 0 || !bundles.every((bundle) => isTrusting(bundle, ca.authority))) {
    return no('CaBundleOutdated', 'The webhook’s caBundle is not that of the control-plane CA.');
  }
  // Pods become ready some moments before every node's proxy sends their Service's connections to them.
  return observed.injectorAnswers === false
    ? no(
        'InjectorUnreachable',
        `Pods of the injector are available, and ${injectorName}.${observed.namespace}.svc:${ports.webhooks} does not answer the operator yet: the Service’s endpoints have not reached this node, or a NetworkPolicy refuses the connection.`,
      )
    : yes('Trusted', 'The API server trusts the injector’s certificate.');
}

function stalledVerdict(accepted: Verdict, planned: Plan, rollouts: readonly Rollout[]): Verdict {
  if (accepted.status === 'False') return yes(accepted.reason, accepted.message);
  if (planned.reason.key === 'ca-unreadable') return yes('AuthorityUnreadable', planned.reason.message);
  const stuck = rollouts.find((rollout) => rollout.kind === 'stuck');
  return stuck === undefined
    ? no('NotStalled', 'Nothing waits for a person.')
    : yes('ProgressDeadlineExceeded', `${stuck.message}.`);
}

function reconcilingVerdict(stalled: Verdict, outcome: Outcome, waiting: Verdict | undefined): Verdict {
  if (stalled.status === 'True') return no('Stalled', 'Work goes on when what stalls it is mended.');
  if (outcome.kind === 'failed') return yes('Retrying', outcome.message);
  if (waiting !== undefined) return yes(waiting.reason, waiting.message);
  return no('UpToDate', 'The cluster holds what the MeshConfig asks for.');
}

/** A failed write that is tried again leaves a mesh that works ready: `Reconciling` tells of it. */
function readyVerdict(accepted: Verdict, stalled: Verdict, waiting: Verdict | undefined): Verdict {
  if (accepted.status === 'False') return no(accepted.reason, accepted.message);
  if (stalled.status === 'True') return no(stalled.reason, stalled.message);
  if (waiting !== undefined) return no(waiting.reason, waiting.message);
  return yes('MeshReady', 'The mesh is ready.');
}
