/** Everything that the control plane's objects are a function of. The operator makes it from a MeshConfig. */
import type { Owner } from './manifest.ts';
import type { Placement } from './workload.ts';

export interface ComponentSettings extends Placement {
  readonly replicas: number;
  /**
   * UID of the component's ServiceAccount as it is stored; undefined while there is none. It stands in the pod template:
   * the tokens of running pods die with their account, so a new account of the same name needs new pods.
   */
  readonly serviceAccountUid?: string | undefined;
}

export interface ControlPlaneSettings {
  readonly namespace: string;
  readonly meshName: string;
  /** Our image: of the control plane's pods, and of `osm-init`. */
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly { readonly name: string }[];
  /** Default image of the sidecar. */
  readonly envoyImage: string;
  /** Whether every kubelet knows restartable init containers (1.29). */
  readonly nativeSidecars: boolean;
  readonly injector: ComponentSettings;
  readonly controller: ComponentSettings;
  /** Secrets of the control plane's namespace that MeshRootCertificates name, sorted. */
  readonly providerSecrets: readonly string[];
  /** The Secret of the ingress gateway's certificate; undefined: none is asked for, or its namespace is not there. */
  readonly gatewaySecret: { readonly name: string; readonly namespace: string } | undefined;
  /** The ClusterRole that owns what stands outside the control plane's namespace. */
  readonly owner: Owner;
}
