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
  metadata: Manifest['metadata'] & { uid?: string; generation?: number; resourceVersion?: string };
  status?: unknown;
}

/** The control-plane CA. `rootsPem` is what clients trust: more than the signer while a rotation is under way. */
export interface ObservedAuthority {
  readonly rootsPem: string;
  /** SHA-256 of the certificate that signs, hex. */
  readonly signer: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

export interface ServingCertificate {
  /** SHA-256 of the CA certificate whose key made the signature, hex; undefined when it is none that we trust. */
  readonly signer: string | undefined;
  readonly rootsPem: string;
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
  readonly workloadRoot: ObservedCa;
  /** Absent, unreadable or expired ones are undefined or refused by the plan: they are ours to replace. */
  readonly serving: Readonly<Record<ComponentName, ServingCertificate | undefined>>;
}

/** `Kind/namespace/name`, or `Kind//name`. */
export function refOf(object: { kind: string; metadata: { name: string; namespace?: string } }): string {
  return `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}
