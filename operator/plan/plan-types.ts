/** What a pass should do, as data: the shell carries the steps out in order and stops at the first that fails. */
import type { Manifest } from '#cdk8s/manifest.ts';
import type { ComponentName, ManagedObject } from './observed.ts';

export type GuardState = 'armed' | 'released';
export type CaName = 'control-plane' | 'workload';

export type Step =
  | { readonly kind: 'set-guard'; readonly state: GuardState; readonly reason: string }
  /** Make a CA and store it; one that is there already is never touched. */
  | { readonly kind: 'make-ca'; readonly ca: CaName; readonly reason: string }
  /** Issue a serving certificate from the control-plane CA and store it. */
  | {
      readonly kind: 'issue';
      readonly component: ComponentName;
      readonly dnsNames: readonly string[];
      readonly meshName: string;
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
