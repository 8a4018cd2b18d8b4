/** The kinds of object that the operator makes, by the `kind` that a manifest carries, and where it watches them. */
import * as kinds from '#kubernetes/kinds.ts';
import type { Kind } from '#kubernetes/types.ts';

/** Made in the control plane's namespace and found again by our label. */
export const localKinds: readonly Kind[] = [
  kinds.ServiceAccounts,
  kinds.Services,
  kinds.Deployments,
  kinds.PodDisruptionBudgets,
  kinds.Roles,
  kinds.RoleBindings,
];

/** Cluster-scoped, found again by our label. */
export const clusterKinds: readonly Kind[] = [
  kinds.ClusterRoleBindings,
  kinds.MutatingWebhookConfigurations,
  kinds.ValidatingWebhookConfigurations,
];

const byName = new Map(
  [...localKinds, ...clusterKinds, kinds.ConfigMaps, kinds.Secrets].map((kind) => [kind.kind, kind]),
);

export function kindNamed(name: string): Kind {
  const kind = byName.get(name);
  if (kind === undefined) throw new Error(`the operator does not make objects of kind ${name}`);
  return kind;
}
