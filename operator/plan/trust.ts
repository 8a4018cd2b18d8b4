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
 * Whether a `caBundle` lets the API server trust what is served: it holds all the roots, or, while a new one is being added, one
 * of them. It is not the wanted one in the pass that begins or ends a rotation, and nothing is the worse for it.
 */
export function isTrusting(bundle: string, { rootsPem, rotation }: ObservedAuthority): boolean {
  const held = new Set(certificatesIn(atob(bundle)));
  const wanted = certificatesIn(rootsPem);
  const adding = rotation !== undefined && rotation.switchedAt === undefined && rotation.trustedSince === undefined;
  return adding ? wanted.some((root) => held.has(root)) : wanted.every((root) => held.has(root));
}

/** The base64 of each certificate in PEM, without line breaks. */
function certificatesIn(pem: string): string[] {
  const blocks = pem.split('-----BEGIN CERTIFICATE-----').slice(1);
  return blocks.map((block) => block.replace(/-----END CERTIFICATE-----[^]*/, '').replaceAll(/\s/g, ''));
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
