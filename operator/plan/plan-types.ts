/** What a pass should do, as data: the shell carries the steps out in order and stops at the first that fails. */
import type { Manifest } from '#cdk8s/manifest.ts';
import type { ComponentName, ManagedObject } from './observed.ts';

export type GuardState = 'armed' | 'released';
export type CaName = 'control-plane' | 'workload';

/** How the Secret of the control-plane CA changes when its rotation comes one step on (rotation.ts). */
export type RotationMove =
  /** Makes a new CA; the present one becomes the former one, and still signs. */
  | { readonly kind: 'begin'; readonly request: string | undefined }
  /** Keeps these roots trusted beside the CA that is there: something served was signed by one whose key is gone. */
  | { readonly kind: 'keep-former'; readonly rootsPem: string }
  /** Notes that everything holds both roots since now, or that this is to be seen again. */
  | { readonly kind: 'trusted' }
  | { readonly kind: 'untrusted' }
  /** The new CA signs from now on; the former one's key is destroyed. */
  | { readonly kind: 'switch' }
  /** The former root is trusted no more. */
  | { readonly kind: 'retire' };

/** How the Secret of the workload root changes when its rotation comes one step on (root-rotation.ts). */
export type RootMove =
  /** Makes a new root, which stands by. */
  | { readonly kind: 'begin'; readonly request: string | undefined }
  /** Wants the other of the two in the end: takes the rotation back, or up again. `to`: its SHA-256. */
  | { readonly kind: 'turn'; readonly to: string; readonly request: string }
  /** Notes that what the next step waits for is so since now, or is not so any more. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'unready' }
  /** The two change places: the one that stood by signs from now on. */
  | { readonly kind: 'switch' }
  /** The root that stands by is trusted no more. */
  | { readonly kind: 'retire' };

export type Step =
  | { readonly kind: 'set-guard'; readonly state: GuardState; readonly reason: string }
  /** Make a CA and store it; one that is there already is never touched. `formerPem`: roots that stay trusted beside it. */
  | {
      readonly kind: 'make-ca';
      readonly ca: CaName;
      readonly formerPem?: string;
      readonly request?: string;
      readonly reason: string;
    }
  /** Change the control-plane CA's Secret, if it is still as it was seen. `ca` is the fingerprint of the CA that takes over. */
  | {
      readonly kind: 'rotate-ca';
      readonly move: RotationMove;
      readonly ca: string;
      readonly resourceVersion: string;
      readonly reason: string;
    }
  /** Change the workload root's Secret, if it is still as it was seen. */
  | { readonly kind: 'rotate-root'; readonly move: RootMove; readonly resourceVersion: string; readonly reason: string }
  /** Make a root that a MeshRootCertificate names, unless its Secret is there. */
  | { readonly kind: 'make-root'; readonly secret: string; readonly reason: string }
  /** Issue a serving certificate from the control-plane CA, the former one while a rotation waits, and store it. */
  | {
      readonly kind: 'issue';
      readonly component: ComponentName;
      readonly dnsNames: readonly string[];
      readonly meshName: string;
      readonly signer: 'current' | 'former';
      readonly reason: string;
    }
  /** Ask the server whether it would take all of these, and store nothing: a wrong one must not change half a mesh. */
  | { readonly kind: 'check'; readonly objects: readonly Manifest[]; readonly reason: string }
  | { readonly kind: 'apply'; readonly object: Manifest; readonly reason: string }
  | { readonly kind: 'delete'; readonly object: ManagedObject; readonly reason: string };

/** Why the plan is what it is; `key` is the log field, the metric label and what tests assert. */
export interface Reason {
  readonly key:
    | 'owner-missing'
    | 'no-mesh'
    | 'removing-mesh'
    | 'invalid-mesh-config'
    | 'ca-unreadable'
    | 'making-authorities'
    | 'keeping-former-authority'
    | 'waiting-for-injector'
    | 'running';
  readonly message: string;
}

export interface Plan {
  readonly reason: Reason;
  readonly steps: readonly Step[];
  /** Milliseconds until the next pass, if nothing changes before; undefined: only a change makes one. */
  readonly requeueAfter: number | undefined;
}
