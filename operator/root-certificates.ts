/** The Secrets that a MeshRootCertificate names. What one names elsewhere than in `namespace` is not ours to read or make. */
import { parseMeshRootCertificate } from '#crds/parse.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import type { ObservedRootCertificate } from './plan/observed.ts';

export function observedRootCertificate(object: KubeObject, namespace: string): ObservedRootCertificate {
  const { name } = object.metadata;
  const result = parseMeshRootCertificate(object);
  if (!result.ok) return { name, secrets: [], authority: undefined };
  const { tresor, vault } = result.value.spec.provider;
  const here = (ref: { name: string; namespace: string } | undefined): string | undefined =>
    ref?.namespace === namespace ? ref.name : undefined;
  const authority = here(tresor?.ca.secretRef);
  const secrets = [authority, here(vault?.token?.secretKeyRef), vault?.caSecretRef?.name];
  return { name, secrets: secrets.filter((secret) => secret !== undefined), authority };
}
