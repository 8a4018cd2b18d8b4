/**
 * What only a webhook can say about a policy. Most rules stand in the CRDs, which refuse without it; this one is
 * `failurePolicy: Ignore`, so nothing may depend on it for safety: the compiler reports the same as a problem.
 */
import { parseTrafficTarget } from '#crds/parse.ts';

export type PolicyVerdict =
  | { readonly allowed: true; readonly reason: 'valid' | 'kind-not-checked' }
  | { readonly allowed: false; readonly reason: string; readonly message: string };

/** @param object a policy object as the API server is about to store it. */
export function validatePolicy(object: unknown, kind: string): PolicyVerdict {
  switch (kind) {
    case 'TrafficTarget':
      return validateTrafficTarget(object);
    default:
      return { allowed: true, reason: 'kind-not-checked' };
  }
}

function validateTrafficTarget(object: unknown): PolicyVerdict {
  const parsed = parseTrafficTarget(object);
  if (!parsed.ok) {
    const first = parsed.errors[0];
    return {
      allowed: false,
      reason: 'invalid-field',
      message: `${first?.field ?? 'object'}: ${first?.message ?? 'is invalid'}`,
    };
  }
  const own = parsed.value.metadata.namespace ?? '';
  const destination = parsed.value.spec.destination.namespace;
  // Left out means its own: that cannot be wrong.
  if (destination === undefined || destination === '' || destination === own) return { allowed: true, reason: 'valid' };
  return {
    allowed: false,
    reason: 'destination-namespace',
    message: `TrafficTarget ${own}/${parsed.value.metadata.name}: spec.destination.namespace is ${destination}; a TrafficTarget must be in the namespace of its destination, so that nobody opens another's service`,
  };
}
