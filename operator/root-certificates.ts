/** The Secrets that a MeshRootCertificate names. What one names elsewhere than in `namespace` is not ours to read or make. */
import { parseMeshRootCertificate } from '#crds/parse.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import type { ObservedRootCertificate } from './plan/observed.ts';

export function observedRootCertificate(object: KubeObject, namespace: string): ObservedRootCertificate {
  const { name } = object.metadata;
  const result = parseMeshRootCertificate(object);
  // One that no schema accepts may sign, for all that is known here.
  if (!result.ok) return { name, role: 'active', secrets: [], authority: undefined };
  const { role, provider } = result.value.spec;
  const { tresor, vault } = provider;
  const here = (ref: { name: string; namespace: string } | undefined): string | undefined =>
    ref?.namespace === namespace ? ref.name : undefined;
  const authority = here(tresor?.ca.secretRef);
  const secrets = [authority, here(vault?.token?.secretKeyRef), vault?.caSecretRef?.name];
  return { name, role, secrets: secrets.filter((secret) => secret !== undefined), authority };
}
