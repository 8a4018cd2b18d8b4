/** What a plan is made from: the cluster as the operator's stores show it, narrowed to what matters, and the time. */
import type { Manifest, Owner } from '#cdk8s/manifest.ts';
import { controllerName, injectorName } from '#cdk8s/names.ts';
import type { MeshConfigSpec } from '#crds/types.ts';

/** The programs that serve TLS under a certificate of the control-plane CA. */
export const components = [injectorName, controllerName] as const;
export type ComponentName = (typeof components)[number];

/** A field that a user got wrong, in the user's spelling, e.g. `spec.sidecar.logLevel`. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** The MeshConfig as it stands; absent when there is none, or when it is being deleted. */
export type DesiredMesh =
  | { readonly kind: 'absent' }
  | { readonly kind: 'invalid'; readonly errors: readonly FieldError[] }
  | { readonly kind: 'valid'; readonly spec: MeshConfigSpec };

export interface ObservedNamespace {
  readonly name: string;
  /** Value of `openservicemesh.io/monitored-by`. */
  readonly monitoredBy: string | undefined;
  /** Carries `openservicemesh.io/ignore`. */
  readonly ignored: boolean;
  readonly terminating: boolean;
}

/** An object with our prune label, as the server stores it, without managedFields. */
export interface ManagedObject extends Manifest {
  metadata: Manifest['metadata'] & {
    uid?: string;
    generation?: number;
    resourceVersion?: string;
    creationTimestamp?: string;
  };
  status?: unknown;
}

/** A CA in its Secret. Times are milliseconds since the epoch. */
export interface ObservedAuthority {
  /** Of the Secret: a rotation goes on only from what was seen. */
  readonly resourceVersion: string;
  /** PEM of all that clients trust: this CA, and then former ones that are still trusted. */
  readonly rootsPem: string;
  /** SHA-256 of the CA's certificate, hex. Its key signs, save while a rotation waits. */
  readonly fingerprint: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** The request for a rotation that was taken up last. */
  readonly request: string | undefined;
  /** Undefined: no other CA is trusted. */
  readonly rotation: ObservedRotation | undefined;
}

/** Former CAs beside the one that takes over. The control-plane CA alone has this; the workload root has an ObservedRootWalk. */
export interface ObservedRotation {
  /** SHA-256 of each, hex. */
  readonly former: readonly string[];
  /** End of the former CA whose key is still there; undefined: the key is gone, on purpose (after the switch) or lost. */
  readonly formerKeyUntil: number | undefined;
  /** Since when everything that holds trust holds that of both; undefined: that is still to be seen. */
  readonly trustedSince: number | undefined;
  /** When the new CA began to sign; undefined: it does not sign yet. */
  readonly switchedAt: number | undefined;
}

/** A CA's certificate, which is no secret. */
export interface RootCertificate {
  /** SHA-256, hex. */
  readonly fingerprint: string;
  readonly pem: string;
}

/** A pod of injector or controller, asked for its certificate by a TLS handshake. */
export interface Replica {
  readonly component: ComponentName;
  readonly pod: string;
  /** SHA-256 of the trusted CA that signed what it serves, hex; undefined when it served nothing that we trust. */
  readonly signer: string | undefined;
}

/** How long the steps of a rotation of the control-plane CA take, in milliseconds. */
export interface RotationWaits {
  /** From when everything holds both roots until the new CA signs. */
  readonly trustMs: number;
  /** From then until the former root is no longer trusted. */
  readonly retireMs: number;
  /** Between two looks at replicas that do not serve a certificate of the new CA yet. */
  readonly askMs: number;
}

export interface ServingCertificate {
  /** SHA-256 of the CA that signed it, hex, of those that stand beside it in its Secret; undefined when it is none of them. */
  readonly signer: string | undefined;
  readonly dnsNames: readonly string[];
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** `unreadable`: the Secret is there and its content is not; it is a user's or a backup's to mend, never overwritten. */
export type ObservedCa =
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreadable'; readonly message: string }
  | { readonly kind: 'present'; readonly authority: ObservedAuthority };

/** The workload root, and how its rotation stands in its Secret (root-rotation.ts). */
export type ObservedWorkloadRoot =
  | Exclude<ObservedCa, { kind: 'present' }>
  | { readonly kind: 'present'; readonly authority: ObservedAuthority; readonly walk: ObservedRootWalk };

export interface ObservedRootWalk {
  /** An operator has made the root that signs: a user's own is not replaced. */
  readonly ours: boolean;
  /** SHA-256 of the root that certificates lead to: of the one that signs, or of the last in a user's own chain. */
  readonly signing: string;
  /** The other root, which is trusted too; undefined: no rotation is under way. */
  readonly standby: ObservedStandby | undefined;
  /** SHA-256 of the root that is to stay in the end, hex. */
  readonly rotatingTo: string | undefined;
  /** When what the next step waits for was seen to be so; undefined: not yet. */
  readonly readySince: number | undefined;
}

export interface ObservedStandby {
  /** SHA-256, hex. */
  readonly fingerprint: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Without its key it can be trusted, and cannot sign. */
  readonly hasKey: boolean;
}

/** A pod of the controller that runs; `report` is undefined when it says nothing, or has not said it for too long. */
export interface ControllerReplica {
  readonly pod: string;
  /** When its process began, milliseconds since the epoch; undefined when the kubelet does not say. */
  readonly startedAt: number | undefined;
  readonly report: RootReport | undefined;
}

/** Of a replica's report (certificates/replica-report.ts): roots by their SHA-256, hex. */
export interface RootReport {
  readonly given: readonly string[];
  readonly acknowledged: readonly string[];
  readonly signing: string;
  readonly needed: readonly string[];
  /** Sidecars that have not acknowledged all that is given, their newest certificates included; a few of them by name. */
  readonly behind: number;
  readonly behindNamed: readonly string[];
}

/** How long what a step of the workload root's rotation waits for must be so, in milliseconds. */
export interface RootWaits {
  /** Every sidecar has acknowledged the root that is to sign. */
  readonly switchMs: number;
  /** Nobody needs the other one. */
  readonly retireMs: number;
}

/** What the operator takes from a MeshRootCertificate: Secrets of the control plane's namespace that it names. */
export interface ObservedRootCertificate {
  readonly name: string;
  readonly role: 'active' | 'passive' | 'inactive';
  /** Those that the controller must read. */
  readonly secrets: readonly string[];
  /** The Secret of an authority whose key is in the cluster: made when it does not exist. */
  readonly authority: string | undefined;
}

export interface Observed {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The control plane's namespace. */
  readonly namespace: string;
  /** Images where the MeshConfig names none. */
  readonly defaults: { readonly image: string; readonly envoyImage: string };
  /** The ClusterRole that owns what we make outside our namespace; without it we make nothing. */
  readonly owner: Owner | undefined;
  readonly namespaces: readonly ObservedNamespace[];
  /** `status.nodeInfo.kubeletVersion` of every node, e.g. `v1.34.1`. */
  readonly kubeletVersions: readonly string[];
  readonly managed: readonly ManagedObject[];
  /** `data.state` of the guard's ConfigMap. */
  readonly guard: string | undefined;
  readonly controlPlaneCa: ObservedCa;
  /** What the API server trusts for our webhooks, and what stands beside the serving certificates; none that has expired. */
  readonly trusted: readonly RootCertificate[];
  /** What the replicas serve; undefined when they were not asked. */
  readonly replicas: readonly Replica[] | undefined;
  /** Whether the injector answers at its Service; undefined when it was not asked. */
  readonly injectorAnswers: boolean | undefined;
  readonly waits: RotationWaits;
  /** Value of the MeshConfig's annotation that asks for a new control-plane CA. */
  readonly rotationRequest: string | undefined;
  readonly workloadRoot: ObservedWorkloadRoot;
  /** What the controllers say of their sidecars' roots; undefined when they were not asked. */
  readonly controllers: readonly ControllerReplica[] | undefined;
  readonly rootWaits: RootWaits;
  /** Since when this operator has looked at the mesh without a long break. */
  readonly followedSince: number;
  /** Value of the MeshConfig's annotation that asks for a new workload root, or takes its rotation back. */
  readonly rootRequest: string | undefined;
  readonly rootCertificates: readonly ObservedRootCertificate[];
  /** Absent, unreadable or expired ones are undefined or refused by the plan: they are ours to replace. */
  readonly serving: Readonly<Record<ComponentName, ServingCertificate | undefined>>;
}

/** `Kind/namespace/name`, or `Kind//name`. */
export function refOf(object: { kind: string; metadata: { name: string; namespace?: string } }): string {
  return `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}
