/**
 * The Secret of the ingress gateway's certificate. The controller's leave to write it is a Role beside it, and the Secret belongs to that
 * Role: when the Role is pruned, Kubernetes collects the Secret, so nobody needs the right to delete one.
 */
import type { ControlPlaneSettings } from '#cdk8s/control-plane-settings.ts';
import type { Manifest } from '#cdk8s/manifest.ts';
import {
  controllerName,
  controlPlaneCaSecretName,
  gatewayGrantRoleName,
  gatewayRoleName,
  injectorName,
  tlsSecretName,
  workloadRootSecretName,
} from '#cdk8s/names.ts';
import type { MeshConfigSpec } from '#crds/types.ts';
import { type ManagedObject, type Observed, refOf } from './observed.ts';

/** How old the operator's own binding there must be before it is used: API servers learn of it a moment after it is stored. */
const grantMs = 2_000;

/** Of the control plane's own: no mistake in a MeshConfig lets the controller write one of these. */
const reserved: readonly string[] = [
  controlPlaneCaSecretName,
  workloadRootSecretName,
  tlsSecretName(injectorName),
  tlsSecretName(controllerName),
];

/** What the controller may write, once its namespace is there: a Role has nowhere to stand before. */
export function gatewaySecret(
  { certificate }: MeshConfigSpec,
  { namespaces, namespace }: Pick<Observed, 'namespaces' | 'namespace'>,
): ControlPlaneSettings['gatewaySecret'] {
  const secret = certificate.ingressGateway?.secret;
  if (secret?.namespace === namespace && reserved.includes(secret.name)) return undefined;
  const home = namespaces.find(({ name }) => name === secret?.namespace);
  return home === undefined || home.terminating ? undefined : secret;
}

export interface GatewayRole {
  /** The Role as it should be; undefined: none is asked for. */
  readonly ref: string | undefined;
  /**
   * The Role as it stands, when it is for another Secret. It is not turned to the new one but deleted, and made again in a later pass: the
   * former Secret goes with it.
   */
  readonly former: ManagedObject | undefined;
  /** Milliseconds until the operator may make it; undefined when it may. */
  readonly wait: number | undefined;
}

/** `wanted`: all of the control plane's objects. */
export function gatewayRole(wanted: readonly Manifest[], { managed, now }: Observed): GatewayRole {
  const role = wanted.find(({ kind, metadata }) => kind === 'Role' && metadata.name === gatewayRoleName);
  if (role === undefined) return { ref: undefined, former: undefined, wait: undefined };
  const ref = refOf(role);
  const stands = managed.find((object) => refOf(object) === ref);
  const former = stands === undefined || secretOf(stands) === secretOf(role) ? undefined : stands;
  const { namespace = '' } = role.metadata;
  const own = managed.find((object) => refOf(object) === `RoleBinding/${namespace}/${gatewayGrantRoleName}`);
  const age = own === undefined ? 0 : now - Date.parse(own.metadata.creationTimestamp ?? '');
  // A clock that differs from the API server's makes nobody wait for ever: a refusal is tried again.
  return { ref, former, wait: age >= 0 && age < grantMs ? grantMs - age : undefined };
}

function secretOf(role: Manifest): string | undefined {
  const rules = (role['rules'] ?? []) as readonly { resources?: string[]; resourceNames?: string[] }[];
  return rules.find(({ resources }) => resources?.includes('secrets'))?.resourceNames?.[0];
}
