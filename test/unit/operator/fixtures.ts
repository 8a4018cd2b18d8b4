import type { Owner } from '#cdk8s/manifest.ts';
import { parseMeshConfig } from '#crds/parse.ts';
import type { DesiredMesh, ManagedObject, Observed, ServingCertificate } from '#operator/plan/observed.ts';
import type { Plan, Step } from '#operator/plan/plan-types.ts';
import { defaultRootWaits } from '#operator/plan/root-rotation.ts';
import { defaultWaits } from '#operator/plan/rotation.ts';

export const now = Date.parse('2026-06-01T12:00:00Z');
export const day = 24 * 3_600_000;

const owner: Owner = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name: 'osm-install', uid: 'u' };
/** What looks like a certificate to whoever does not parse it. */
export function pem(name: string): string {
  return `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`;
}

export const authority = {
  kind: 'present',
  authority: {
    resourceVersion: '1',
    rootsPem: pem('ROOT'),
    fingerprint: 'aa',
    notBefore: now - day,
    notAfter: now + 1000 * day,
    request: undefined,
    rotation: undefined,
  },
} as const;

export function serving(component: string, changes: Partial<ServingCertificate> = {}): ServingCertificate {
  return {
    signer: 'aa',
    dnsNames: [`${component}.osm-system.svc`, `${component}.osm-system.svc.cluster.local`],
    notBefore: now - day,
    notAfter: now + 29 * day,
    ...changes,
  };
}

/** An installation with authorities and certificates, one meshed namespace and no object of ours. */
export function observed(changes: Partial<Observed> = {}): Observed {
  return {
    now,
    namespace: 'osm-system',
    defaults: { image: 'osm', envoyImage: 'envoy' },
    owner,
    namespaces: [namespace('bookstore'), namespace('osm-system'), namespace('other', { monitoredBy: 'another' })],
    kubeletVersions: ['v1.34.1'],
    managed: [],
    guard: 'armed',
    controlPlaneCa: authority,
    workloadRoot: {
      ...authority,
      walk: { ours: true, signing: 'aa', standby: undefined, rotatingTo: undefined, readySince: undefined },
    },
    controllers: undefined,
    rootWaits: defaultRootWaits,
    followedSince: 0,
    rootRequest: undefined,
    trusted: [{ fingerprint: 'aa', pem: pem('ROOT') }],
    replicas: undefined,
    injectorAnswers: undefined,
    waits: defaultWaits,
    rotationRequest: undefined,
    rootCertificates: [],
    serving: { 'osm-injector': serving('osm-injector'), 'osm-controller': serving('osm-controller') },
    ...changes,
  };
}

export function namespace(name: string, changes: Partial<Observed['namespaces'][number]> = {}) {
  return { name, monitoredBy: 'osm', ignored: false, terminating: false, ...changes };
}

export function valid(spec: object = {}): DesiredMesh {
  const parsed = parseMeshConfig(meshConfigOf(spec));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return { kind: 'valid', spec: parsed.value.spec };
}

/** The ServiceAccounts of injector and controller, which are made before their Deployments. */
export const accounts: readonly ManagedObject[] = ['osm-injector', 'osm-controller'].map((name) => account(name));

export function account(name: string, uid = `uid-of-${name}`): ManagedObject {
  const metadata = { name, namespace: 'osm-system', uid, resourceVersion: '1' };
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
}

/** The object that a plan would apply, as the server would store it. */
export function applied(plan: Plan, kind: string, name: string, changes: object = {}): ManagedObject {
  const step = plan.steps.find(
    (candidate) =>
      candidate.kind === 'apply' && candidate.object.kind === kind && candidate.object.metadata.name === name,
  );
  if (step?.kind !== 'apply') throw new Error(`the plan applies no ${kind} ${name}`);
  const { metadata } = step.object;
  return {
    ...step.object,
    metadata: { ...metadata, uid: `uid-of-${name}`, generation: 1, resourceVersion: '1' },
    ...changes,
  };
}

export function rolledOut(changes: object = {}): { status: object } {
  return {
    status: {
      observedGeneration: 1,
      replicas: 2,
      updatedReplicas: 2,
      availableReplicas: 2,
      conditions: [{ type: 'Available', status: 'True' }],
      ...changes,
    },
  };
}

/** A step as one short line. */
export function line(step: Step): string {
  switch (step.kind) {
    case 'set-guard':
      return `guard ${step.state}`;
    case 'make-ca':
      return `make-ca ${step.ca}`;
    case 'rotate-ca':
      return `rotate-ca ${step.move.kind}: ${step.reason}`;
    case 'rotate-root':
      return `rotate-root ${step.move.kind}: ${step.reason}`;
    case 'make-root':
      return `make-root ${step.secret}`;
    case 'issue':
      return `issue ${step.component}: ${step.reason}`;
    case 'check':
      return `check ${step.objects.length}`;
    case 'apply':
    case 'delete': {
      const { kind, metadata } = step.object;
      return `${step.kind} ${kind} ${[metadata.namespace, metadata.name].filter(Boolean).join('/')}`;
    }
  }
}

export function meshConfigOf(spec: object) {
  return {
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshConfig',
    metadata: { name: 'osm-mesh-config', namespace: 'osm-system' },
    spec,
  };
}
