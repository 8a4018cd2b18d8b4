/** Who trusts the control-plane CA: sidecars by the ConfigMap of their namespace, the API server by our webhooks' `caBundle`. */
import type { Manifest, Owner } from '#cdk8s/manifest.ts';
import { trustConfigMapName } from '#cdk8s/names.ts';
import { trustConfigMaps } from '#cdk8s/trust.ts';
import type { ManagedObject, Observed, ObservedAuthority } from './observed.ts';

/** `osm-trust` of each namespace of the mesh. */
export function trustFor(meshName: string, owner: Owner, observed: Observed, authority: ObservedAuthority): Manifest[] {
  const { namespace } = observed;
  const meshed = observed.namespaces
    .filter((candidate) => candidate.monitoredBy === meshName && !candidate.ignored && !candidate.terminating)
    .map((candidate) => candidate.name)
    .filter((name) => name !== namespace)
    .sort();
  return trustConfigMaps({ namespace, meshName, owner }, meshed, authority.rootsPem);
}

/** The value of `caBundle`: base64 of the PEM roots. */
export function caBundle(authority: ObservedAuthority): string {
  return btoa(authority.rootsPem);
}

/** The `caBundle` of each webhook in a configuration. */
export function caBundlesOf(configuration: ManagedObject): string[] {
  const entries = (configuration['webhooks'] ?? []) as readonly { readonly clientConfig?: { caBundle?: string } }[];
  return entries.map(({ clientConfig }) => clientConfig?.caBundle ?? '');
}

/**
 * Whether something that holds trust holds another than the present roots. A ConfigMap that is missing holds none: pods of
 * a new namespace wait for it. The mutating webhook is always there in a mesh that runs; where it is missing, a mesh was removed
 * or is being made, and sidecars of before may hold anything.
 */
export function isTrustIncomplete(authority: ObservedAuthority, { managed }: Observed): boolean {
  const bundle = caBundle(authority);
  return (
    managed.some((object) =>
      isWebhook(object)
        ? caBundlesOf(object).some((each) => each !== bundle)
        : isTrust(object) && object.data?.['ca.crt'] !== authority.rootsPem,
    ) || !managed.some(({ kind }) => kind === 'MutatingWebhookConfiguration')
  );
}

function isWebhook({ kind }: ManagedObject): boolean {
  return kind.endsWith('WebhookConfiguration');
}

function isTrust({ kind, metadata }: ManagedObject): boolean {
  return kind === 'ConfigMap' && metadata.name === trustConfigMapName;
}
