/** Every reason of a decision: the key is the log field, the metric's label and what tests assert. */

export type SkipKey =
  | 'host-network'
  | 'control-plane-namespace'
  | 'system-namespace'
  | 'namespace-not-monitored'
  | 'namespace-ignored'
  | 'namespace-control-plane-label'
  | 'not-requested'
  | 'disabled';

export type InjectKey = 'pod-annotation' | 'pod-label' | 'namespace-annotation' | 'namespace-label';

export type RefuseKey =
  | 'invalid-injection-value'
  | 'contradictory-injection-values'
  | 'windows'
  | 'pod-security-level'
  | 'sidecar-user'
  | 'reserved-port'
  | 'container-name-taken'
  | 'volume-name-taken'
  | 'too-many-probe-ports'
  | 'invalid-port-annotation'
  | 'invalid-range-annotation'
  | 'invalid-prestop-sleep'
  | 'invalid-metrics-value';

/** What to do with a pod, and why. `message` is one sentence that a user can act on. */
export type Decision =
  | { readonly kind: 'inject'; readonly reason: InjectKey; readonly message: string }
  | { readonly kind: 'skip'; readonly reason: SkipKey; readonly message: string }
  | { readonly kind: 'refuse'; readonly reason: RefuseKey; readonly message: string };

export interface Refusal {
  readonly kind: 'refuse';
  readonly reason: RefuseKey;
  readonly message: string;
}

export function refuse(reason: RefuseKey, message: string): Refusal {
  return { kind: 'refuse', reason, message };
}
